import { useQuery } from "@tanstack/react-query";
import { sample } from "../api/queries";
import { bytes, percent, roomTone } from "../lib/format";
import { Meter } from "./Meter";

/** What the machine is doing right now, small enough to be on every page. */
export function MiniMachine() {
  const { data } = useQuery(sample);
  if (!data) return null;
  const { memory, disk, gpus } = data;
  const used = memory && memory.total - memory.free;
  return (
    <>
      {gpus.slice(0, 8).map((gpu) => (
        <div key={gpu.index}>
          <Line name={`GPU ${gpu.index}`} value={gpu.utilisation_percent === null ? "–" : `${gpu.utilisation_percent} %`} />
          {gpu.utilisation_percent !== null && <Meter value={gpu.utilisation_percent} label={`GPU ${gpu.index} at work`} />}
        </div>
      ))}
      {memory && used !== null && (
        <div>
          <Line name="Memory" value={`${bytes(used)}`} />
          <Meter value={percent(used, memory.total)} label="Memory used" />
        </div>
      )}
      {disk && <Line name="Disk free" value={bytes(disk.free)} tone={roomTone(disk.free)} />}
    </>
  );
}

const Line = ({ name, value, tone = "" }: { name: string; value: string; tone?: string }) => (
  <div className="row" style={{ justifyContent: "space-between" }}><span>{name}</span><span className={tone}>{value}</span></div>
);
