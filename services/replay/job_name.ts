/** Name of a job: one part of one life of a replay. BullMQ takes neither colons nor plain numbers as ids. */
export function jobName(
  { id, generation }: { readonly id: string; readonly generation: number },
  part: number,
): string {
  return `${id}.${generation}.${part}`
}

/** null for what is none. */
export function parseJobName(
  name: string,
): { readonly id: string; readonly generation: number; readonly part: number } | null {
  const match = /^(replay_[0-9a-f]{16})\.(\d{1,9})\.(\d{1,9})$/.exec(name)
  return match === null ? null : { id: match[1], generation: Number(match[2]), part: Number(match[3]) }
}
