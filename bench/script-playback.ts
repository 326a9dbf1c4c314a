/** Making a personalization script and playing it over an in-process card, for both secure channels. */
import { randomBytes } from 'node:crypto';
import { createVirtualCard, type VirtualCard } from '@cardwright/card';
import { planInstances } from '@cardwright/dataprep';
import { hex, unhex } from '@cardwright/emv';
import { beginSecureChannel, createPersonalizationScript } from '@cardwright/personalization';
import { sampleCardData } from './sample-card.ts';
import { type KeyFixture, planFor, publishedKmc } from '../packages/dataprep/test/key-fixture.ts';
import { type Measurement, summarize } from './measurement.ts';

const selectIsd = unhex('00A4040008A000000151000000');

function exchange(card: VirtualCard, command: Uint8Array): Uint8Array {
  const response = card.transmit(command);
  if (hex(response.subarray(-2)) !== '9000')
    throw new Error(`the card answered ${hex(response.subarray(-2))}`);
  return response.subarray(0, -2);
}

export async function benchScriptPlayback(fixture: KeyFixture, count: number): Promise<Measurement[]> {
  const results: Measurement[] = [];
  for (const protocol of ['SCP03', 'SCP02'] as const) {
    const making: number[] = [];
    const playing: number[] = [];
    for (let run = 0; run < count; run++) {
      const plan = await planFor(fixture, sampleCardData());
      const card = createVirtualCard({ secureChannel: protocol, kmc: publishedKmc, serial: randomBytes(4) });
      exchange(card, selectIsd);
      const { initializeUpdate, hostChallenge } = beginSecureChannel(fixture.keys);
      const initializeUpdateResponse = exchange(card, initializeUpdate);
      const made = performance.now();
      const answer = await createPersonalizationScript(fixture.keys, {
        kmcScp02: await fixture.keys.find('kmc-scp02/1'),
        kmcScp03: await fixture.keys.find('kmc-scp03/1'),
        hostChallenge,
        initializeUpdateResponse,
        allowedProtocols: [protocol],
        instances: planInstances(plan, fixture.keys, fixture.sealKey),
      });
      if (!answer.ok) throw new Error(`no script: ${answer.reason}`);
      const played = performance.now();
      for (const step of answer.script) exchange(card, unhex(step.apdu));
      making.push(played - made);
      playing.push(performance.now() - played);
    }
    results.push(
      summarize(`${protocol} script made by the vault`, making),
      summarize(`${protocol} script played over an in-process card`, playing),
    );
  }
  return results;
}
