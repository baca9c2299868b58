import { existsSync, writeFileSync } from 'node:fs';

/** Of the first version of cgroups: the memory group without a bound. */
const unboundGroup = '/sys/fs/cgroup/memory/cgroup.procs';

/**
 * FAULTS 33. Whoever writes back a file system's dirty pages (the engine, `nbdfuse`) must be able to get memory just
 * when there is none: it is the last to be killed, and leaves the memory group that it was started in. In a group
 * that is full of dirty pages the kernel (with cgroups of version 1) makes whoever needs memory wait until some are
 * written: with the engine among them, for ever, and no kill helps.
 */
export function spare(pid: number): void {
  attempt(`/proc/${pid}/oom_score_adj`, '-900');
  if (existsSync(unboundGroup)) attempt(unboundGroup, String(pid));
}

/** Only root may, and not in every container; the unit of the agent does it for everybody else. */
function attempt(file: string, value: string): void {
  try {
    writeFileSync(file, value);
  } catch {
    // The process runs all the same, as everything else there does.
  }
}
