import { describe, expect, it } from 'vitest';
import type { BlockDevice } from '../../adapters/block/block-device.ts';
import type { IntentLog } from '../../adapters/block/intent-log.ts';
import { Volume } from '../../adapters/engine/volume.ts';
import { NodeName, VolumeName } from '../../domain/vocabulary.ts';

const [eve, mia] = [NodeName.parse('eve'), NodeName.parse('mia')];

describe('the logs that a write marks (FAULTS 15)', () => {
  it('hold one that failed unseen until its failure is recorded, whatever becomes of the others', () => {
    const volume = new Volume(0, VolumeName.parse('v0'), 65_536, {} as BlockDevice);
    const [ofEve, ofMia] = [{ state: 'kept' }, { state: 'kept' }];
    const log = ofEve as unknown as IntentLog;
    volume.addLog(eve, log);
    volume.addLog(mia, ofMia as unknown as IntentLog);
    ofEve.state = 'invalid';
    volume.selectMarkable();
    expect(volume.markable).toContain(log);
    volume.leaveOut([log]);
    volume.selectMarkable();
    expect(volume.markable).toEqual([ofMia]);
    ofEve.state = 'kept';
    volume.selectMarkable();
    expect(volume.markable).toContain(log);
  });
});
