import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { vi } from 'vitest';

/** A small memory cgroup (version 1 or 2): what its processes use, page cache included, has an upper bound. */
export class MemoryGroup {
  readonly #folder: string;
  readonly #isFirstVersion = existsSync('/sys/fs/cgroup/memory');

  constructor(name: string, limitBytes: number) {
    this.#folder = join(this.#isFirstVersion ? '/sys/fs/cgroup/memory' : '/sys/fs/cgroup', name);
    mkdirSync(this.#folder);
    this.#write(this.#isFirstVersion ? 'memory.limit_in_bytes' : 'memory.max', limitBytes);
  }

  add(pid: number): void {
    this.#write('cgroup.procs', pid);
  }

  /** Processes that the kernel killed because the group was full. */
  get killed(): number {
    const text = this.#read(this.#isFirstVersion ? 'memory.oom_control' : 'memory.events');
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
  }

  /** How often the bound was reached. */
  get reached(): number {
    if (this.#isFirstVersion) return Number(this.#read('memory.failcnt'));
    return Number(/^max (\d+)$/m.exec(this.#read('memory.events'))?.[1] ?? 0);
  }

  /** Its processes have ended; those that nobody has asked after yet still count. */
  async remove(): Promise<void> {
    await vi.waitFor(() => rmdirSync(this.#folder), { timeout: 10_000, interval: 20 });
  }

  #read(name: string): string {
    return readFileSync(join(this.#folder, name), 'utf8');
  }

  #write(name: string, value: number): void {
    writeFileSync(join(this.#folder, name), String(value));
  }
}
