/**
 * Personalizes a virtual card with @cardwright/personalization and @cardwright/card: the secure channel is computed
 * beside the keys, and whoever plays the script needs none.
 *
 *     node examples/personalize-card.ts
 */
import { randomBytes } from 'node:crypto';
import { createVirtualCard, type VirtualCard } from '@cardwright/card';
import { encodeCommand, hex, issuerSecurityDomainAid, responseData, unhex } from '@cardwright/emv';
import { type SoftwareKeys } from '@cardwright/keys';
import { beginSecureChannel, createPersonalizationScript } from '@cardwright/personalization';
import { openExampleKeys, prepareCard, type PreparedCard } from './prepare-card.ts';

/** GlobalPlatform's published default card key: what blank test chips carry, and good for nothing else. */
const publishedKey = Uint8Array.from({ length: 16 }, (_, index) => 0x40 + index);

/** A blank chip that speaks SCP03, and the finished card that it becomes. */
export async function personalizeCard(keys: SoftwareKeys, { instances }: PreparedCard): Promise<VirtualCard> {
  const kmcScp03 = await keys.ensure('kmc-scp03/1', {
    algorithm: 'AES-128',
    usage: 'KMC',
    value: publishedKey,
  });
  const card = createVirtualCard({
    secureChannel: 'SCP03',
    kmc: publishedKey,
    serial: new Uint8Array(randomBytes(4)),
  });
  card.transmit(
    encodeCommand({
      cla: 0x00,
      ins: 0xa4,
      p1: 0x04,
      p2: 0x00,
      data: unhex(issuerSecurityDomainAid),
      le: 256,
    }),
  );
  const { initializeUpdate, hostChallenge } = beginSecureChannel(keys);
  const made = await createPersonalizationScript(keys, {
    kmcScp03,
    hostChallenge,
    initializeUpdateResponse: responseData(card.transmit(initializeUpdate)),
    allowedProtocols: ['SCP03'],
    instances,
  });
  if (!made.ok) throw new Error(`the card was refused: ${made.reason}`);
  for (const { apdu, expect, label } of made.script) {
    const status = hex(card.transmit(unhex(apdu)).slice(-2));
    if (!expect.includes(status)) throw new Error(`${label}: ${status}`);
    if (import.meta.main) process.stdout.write(`${status}  ${label}\n`);
  }
  card.reset();
  return card;
}

if (import.meta.main) {
  const { keys, close } = await openExampleKeys();
  const card = await personalizeCard(keys, await prepareCard(keys));
  for (const { aid, lifeCycle } of card.inspect().applications) process.stdout.write(`${aid} ${lifeCycle}\n`);
  await close();
}
