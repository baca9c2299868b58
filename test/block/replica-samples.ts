import type { BitmapIdentity } from '../../adapters/block/bitmap-codec.ts';
import type { ReplicaRecord } from '../../adapters/block/replica-record.ts';
import { newReplicaRecord } from '../../adapters/block/replica-record.ts';
import { NodeName, Tag, VolumeName } from '../../domain/vocabulary.ts';

export const gibibyte = 1024 ** 3;
export const data = VolumeName.parse('data');
export const eve = NodeName.parse('eve');
export const adam = NodeName.parse('adam');

export const sampleRecord: ReplicaRecord = newReplicaRecord({
  cluster: 'paradise',
  tag: Tag.parse('datarep-ext3'),
  resource: 'eve-1-7',
  node: eve,
  volumes: [{ name: data, byteSize: gibibyte }],
});

export const sampleIdentity: BitmapIdentity = {
  cluster: 'paradise',
  tag: Tag.parse('datarep-ext3'),
  resource: 'eve-1-7',
  volume: data,
  node: eve,
  peer: adam,
};
