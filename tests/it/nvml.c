/* NVML with two GPUs, as far as dpgui asks it. */

#include <string.h>

typedef struct { unsigned version; unsigned long long total, reserved, free, used; } Memory;
typedef struct { unsigned gpu, memory; } Utilization;

#define MEBIBYTE (1ULL << 20)

/* A handle is the number of the GPU, and one. */
static unsigned number(void *device) { return (unsigned)(unsigned long)device - 1; }

static int text(char *to, unsigned room, const char *from) {
    if (strlen(from) >= room) return 7;
    strcpy(to, from);
    return 0;
}

int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int error) { return "an error"; }
int nvmlSystemGetDriverVersion(char *to, unsigned room) { return text(to, room, "580.65.06"); }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 13000; return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    *device = (void *)(unsigned long)(index + 1);
    return 0;
}
int nvmlDeviceGetIndex(void *device, unsigned *index) { *index = number(device); return 0; }
int nvmlDeviceGetName(void *device, char *to, unsigned room) { return text(to, room, "NVIDIA A100"); }
int nvmlDeviceGetUUID(void *device, char *to, unsigned room) {
    return text(to, room, number(device) ? "GPU-bb22" : "GPU-aa11");
}
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) {
    *major = 8;
    *minor = 0;
    return 0;
}
int nvmlDeviceGetMemoryInfo_v2(void *device, Memory *memory) {
    memory->total = 40960 * MEBIBYTE;
    memory->used = (1000 + number(device)) * MEBIBYTE;
    memory->free = memory->total - memory->used;
    return 0;
}
int nvmlDeviceGetUtilizationRates(void *device, Utilization *used) {
    used->gpu = 90 + number(device);
    used->memory = 0;
    return 0;
}
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *celsius) {
    *celsius = 60 + number(device);
    return 0;
}
/* The second card has no meter. */
int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) {
    *milliwatts = 250500;
    return number(device) ? 3 : 0;
}
