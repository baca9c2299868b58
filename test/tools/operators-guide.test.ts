import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type RefusalCode, refusalSentences } from '../../domain/refusals.ts';
import { alarmSeverities } from '../../projections/alarms.ts';
import { natsConfigCommand } from '../../tools/nats-config.ts';

const docs = join(import.meta.dirname, '../../docs');
const guide = readFileSync(join(docs, 'operators-guide.md'), 'utf8');

/** By what stands in its heading: the text of a section. */
const sections = new Map(
  guide
    .split(/^### /m)
    .slice(1)
    .map((section) => {
      const [heading = '', ...lines] = section.split('\n');
      return [heading.replaceAll('`', ''), lines.join('\n').trim()] as const;
    }),
);
const headings = [...sections.keys()];

describe("the operator's guide", () => {
  it('has a section for each refusal, with its sentence and what to do', () => {
    expect(headings.filter((heading) => !heading.startsWith('Alarm ')).sort()).toEqual(
      Object.keys(refusalSentences).sort(),
    );
    for (const code of Object.keys(refusalSentences) as RefusalCode[])
      expect(sections.get(code), code).toMatch(new RegExp(`^> ${refusalSentences[code]}\n\n\\S`));
  });

  it('has a section for each alarm, with its severity and what to do', () => {
    const alarms = headings
      .filter((heading) => heading.startsWith('Alarm '))
      .map((heading) => heading.slice(6));
    expect(alarms.sort()).toEqual(Object.keys(alarmSeverities).sort());
    for (const [code, severity] of Object.entries(alarmSeverities))
      expect(sections.get(`Alarm ${code}`), code).toMatch(new RegExp(`^${severity}\\. \\S`));
  });

  it('links only to what is there', () => {
    const anchors = new Set(
      [...guide.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
        heading
          .toLowerCase()
          .replaceAll(/[^a-z0-9 _-]/g, '')
          .replaceAll(' ', '-'),
      ),
    );
    const targets = [...guide.matchAll(/\]\(([^)]+)\)/g)].map(([, target = '']) => target);
    const isThere = (target: string) =>
      target.startsWith('#') ? anchors.has(target.slice(1)) : existsSync(join(docs, target));
    expect(targets.filter((target) => !isThere(target))).toEqual([]);
  });
});

describe('files for three servers', () => {
  it('the NATS configuration is what nats-config prints', () => {
    let printed = '';
    const servers = ['a=10.0.0.1', 'b=10.0.0.2', 'c=10.0.0.3'].flatMap((server) => ['--server', server]);
    const nodes = ['eve', 'adam', 'sophocles'].flatMap((node) => ['--node', node]);
    const people = ['anna:operator', 'otto:auditor', 'wall:dashboard'].flatMap((user) => ['--user', user]);
    const command = natsConfigCommand((text) => {
      printed += text;
    });
    const args = ['--cluster', 'prod', '--this', 'a', ...servers, ...nodes, ...people];
    return command.parseAsync(args, { from: 'user' }).then(() => {
      expect(printed).toBe(readFileSync(join(docs, 'three-servers/nats-server-a.conf'), 'utf8'));
    });
  });

  it('systemd takes the unit, and ends only the agent with it', () => {
    const unit = readFileSync(join(docs, 'systemd/mirrorkeeper-agent.service'), 'utf8');
    expect(unit).toContain('KillMode=process');
    const file = join(mkdtempSync(join(tmpdir(), 'mk-unit-')), 'mirrorkeeper-agent.service');
    // The program is not installed where the test runs.
    writeFileSync(file, unit.replace('/usr/bin/mirrorkeeper', process.execPath));
    execFileSync('systemd-analyze', ['verify', file], { stdio: 'pipe' });
  });

  it('the environment has every variable that the unit takes', () => {
    const unit = readFileSync(join(docs, 'systemd/mirrorkeeper-agent.service'), 'utf8');
    const environment = readFileSync(join(docs, 'systemd/agent.env'), 'utf8');
    const taken = new Set([...unit.matchAll(/\$\{?(MK_[A-Z]+)/g)].map(([, name = '']) => name));
    const given = new Set([...environment.matchAll(/^(MK_[A-Z]+)=/gm)].map(([, name = '']) => name));
    expect(given).toEqual(taken);
  });
});
