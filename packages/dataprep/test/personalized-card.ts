/** Makes a virtual card from a plan, as server, vault and agent do together. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createVirtualCard } from '@cardwright/card';
import { hex, unhex } from '@cardwright/emv';
import { beginSecureChannel, createPersonalizationScript } from '@cardwright/personalization';
import { type Plan, planInstances } from '../src/index.ts';
import { type KeyFixture, publishedKmc } from './key-fixture.ts';
import { select, send } from './terminal.ts';

/** A blank chip in process. */
export type Card = ReturnType<typeof createVirtualCard>;

/** Every command of the script must succeed. */
export async function personalize(
  fixture: KeyFixture,
  plan: Plan,
  protocol: 'SCP02' | 'SCP03',
): Promise<Card> {
  const { keys, sealKey } = fixture;
  const card = createVirtualCard({ secureChannel: protocol, kmc: publishedKmc, serial: randomBytes(6) });
  card.reset();
  select(card, 'A000000151000000');
  const { initializeUpdate, hostChallenge } = beginSecureChannel(keys);
  const made = await createPersonalizationScript(keys, {
    kmcScp02: await keys.find('kmc-scp02/1'),
    kmcScp03: await keys.find('kmc-scp03/1'),
    hostChallenge,
    initializeUpdateResponse: send(card, initializeUpdate),
    allowedProtocols: plan.secureChannels.map((channel) => channel.protocol),
    instances: planInstances(plan, keys, sealKey),
    packing: plan.packing,
  });
  assert(made.ok);
  for (const step of made.script) {
    const response = card.transmit(unhex(step.apdu));
    assert(step.expect.includes(hex(response.slice(-2))), `${step.label}: ${hex(response.slice(-2))}`);
  }
  card.reset();
  return card;
}
