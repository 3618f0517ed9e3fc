export async function wrongPath() {}
export async function conflict() {}
