import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import {
  type CardKnobs,
  createVirtualCard,
  type SecureChannelProtocol,
  type VirtualCard,
} from '@cardwright/card';
import { type Plan } from '@cardwright/dataprep';
import { hex, unhex } from '@cardwright/emv';
import { type ChipIdentity, type CryptogramVerdict } from '@cardwright/protocol';
import fc from 'fast-check';
import { identifyChip, initializeUpdate } from '../src/chip/chip-session.ts';
import { playScript } from '../src/chip/script-player.ts';
import { holdsCardNumber } from '../src/verification/card-number-search.ts';
import { type VerificationResult, verifyCard } from '../src/verification/card-verification.ts';
import { verdictNames } from '../src/verification/chip-report.ts';
import { channelTo } from './in-process-channel.ts';
import { blankKmc, randomPan, TestVault } from './test-vault.ts';

const vault = await TestVault.open();
after(() => vault.close());

interface MadeCard {
  readonly card: VirtualCard;
  readonly plan: Plan;
  readonly chip: ChipIdentity;
  readonly pan: string;
}

async function makeCard(
  options: { protocol?: SecureChannelProtocol; knobs?: CardKnobs } = {},
): Promise<MadeCard> {
  const pan = randomPan();
  const plan = await vault.plan(pan);
  const card = createVirtualCard({
    secureChannel: options.protocol ?? 'SCP03',
    kmc: blankKmc,
    serial: new Uint8Array(randomBytes(6)),
    ...(options.knobs === undefined ? {} : { knobs: options.knobs }),
  });
  const channel = channelTo(card);
  const begin = vault.begin();
  const chip = await identifyChip(channel, begin.securityDomainAid);
  const answer = await vault.script(
    plan,
    begin.ticket,
    await initializeUpdate(channel, begin.initializeUpdate),
  );
  assert.ok(typeof answer !== 'string', 'the vault refused the chip');
  const result = await playScript({
    channel,
    ...answer,
    onPersonalization: () => undefined,
    onTerminate: () => undefined,
  });
  assert.equal(result.kind, 'completed');
  return { card, plan, chip, pan };
}

function verify(
  { card, plan, chip }: MadeCard,
  changes: { facts?: Partial<Plan['verification']>; confirm?: () => Promise<CryptogramVerdict> } = {},
): Promise<VerificationResult> {
  return verifyCard({
    channel: channelTo(card),
    facts: { ...plan.verification, ...changes.facts },
    chip,
    randomBytes: (length) => new Uint8Array(randomBytes(length)),
    now: () => Date.now(),
    confirm: changes.confirm ?? ((evidence) => vault.confirm(plan, { epoch: 1, ...evidence })),
  });
}

for (const protocol of ['SCP03', 'SCP02'] as const) {
  test(`a card personalized over ${protocol} passes every check of a terminal`, async () => {
    const made = await makeCard({ protocol });
    const { isProven, report } = await verify(made);
    assert.deepEqual(report.verdicts, Object.fromEntries(verdictNames.map((name) => [name, 'ok'])));
    assert.equal(isProven, true);
    assert.ok(report.tags.length >= 30, `${report.tags.length} tags`);
    assert.ok(report.tags.every(({ name }) => name !== 'Unknown'));
    assert.equal(report.chip.cplc?.length, 84);
  });
}

test('a T=0 chip that makes the terminal fetch its answers passes as well', async () => {
  const { isProven, report } = await verify(await makeCard({ knobs: { isT0: true } }));
  assert.equal(isProven, true, JSON.stringify(report.verdicts));
});

test('the report shows the card number masked and nothing that it can be computed from', async () => {
  const made = await makeCard();
  const { report } = await verify(made);
  const shown = (tag: string): string => report.tags.find((one) => one.tag === tag)?.value ?? '';
  assert.equal(shown('5A'), `${made.pan.slice(0, 6)}******${made.pan.slice(-4)}`);
  assert.match(shown('5F20'), /^\*+$/);
  assert.match(shown('9F46'), /^\(\d+ bytes\)$/);
  const text = JSON.stringify(report);
  assert.equal(text.includes(made.pan), false);
  assert.equal(text.includes(made.pan.slice(0, 12)), false);
  assert.equal(text.includes(made.plan.verification.panSha256), false);
  for (const { sha256 } of made.plan.verification.records) assert.equal(text.includes(sha256), false);
});

test('no value in the report is a bare run of decimal digits that could pass for a card number', async () => {
  const { report } = await verify(await makeCard());
  for (const { value } of report.tags) assert.doesNotMatch(value, /^\d{12,}$/);
});

test('one byte that the chip stored wrong is noticed, and nothing after it is asked', async () => {
  const { isProven, report } = await verify(await makeCard({ knobs: { corruptsRecord: true } }));
  assert.equal(isProven, false);
  assert.match(report.verdicts.records, /^DIFFER /);
  assert.equal(report.verdicts.cryptogram, 'NOT_CHECKED');
});

test('a card of another CA fails at the issuer certificate', async () => {
  const made = await makeCard();
  const modulus = hex(new Uint8Array(randomBytes(176)).fill(0xc1, 0, 1).fill(0x01, 175));
  const capk = { ...made.plan.verification.capk, modulus };
  const { report } = await verify(made, { facts: { capk } });
  assert.notEqual(report.verdicts.issuerCertificate, 'ok');
  assert.equal(report.verdicts.dynamicAuthentication, 'NOT_CHECKED');
});

test('a card with another number than prepared fails, although all its records are consistent', async () => {
  const made = await makeCard();
  const { report } = await verify(made, { facts: { panSha256: '00'.repeat(32) } });
  assert.equal(report.verdicts.records, 'ok');
  assert.equal(report.verdicts.cardNumber, 'DIFFERS');
});

test('a cryptogram that the vault does not confirm fails the card', async () => {
  const made = await makeCard();
  const refuse = (): Promise<CryptogramVerdict> =>
    Promise.resolve({ confirmed: false, reason: 'CRYPTOGRAM_MISMATCH' });
  const { isProven, report } = await verify(made, { confirm: refuse });
  assert.equal(report.verdicts.combinedAuthentication, 'ok');
  assert.equal(report.verdicts.cryptogram, 'CRYPTOGRAM_MISMATCH');
  assert.equal(isProven, false);
});

test('a card that somebody used before us fails by its transaction counter', async () => {
  const made = await makeCard();
  assert.equal((await verify(made)).isProven, true);
  const second = await verify(made);
  assert.equal(second.report.verdicts.counters, 'ATC_DIFFERS');
});

test('a blank that was never personalized fails at the first look', async () => {
  const made = await makeCard();
  const blank = createVirtualCard({
    secureChannel: 'SCP03',
    kmc: blankKmc,
    serial: new Uint8Array(randomBytes(6)),
  });
  const { report } = await verify({ ...made, card: blank });
  assert.notEqual(report.verdicts.directory, 'ok');
  assert.equal(report.verdicts.application, 'NOT_CHECKED');
});

test('whatever bytes a hostile chip answers, only verdicts come out, and never the card number', async () => {
  const made = await makeCard();
  const honest: Uint8Array[] = [];
  const recording = channelTo(made.card);
  const facts = made.plan.verification;
  const common = { facts, chip: made.chip, randomBytes: () => new Uint8Array(4), now: () => Date.now() };
  const confirm = (): Promise<CryptogramVerdict> => Promise.resolve({ confirmed: true });
  const record = async (command: Uint8Array): Promise<Uint8Array> => {
    const answer = await recording.transmit(command);
    honest.push(answer);
    return answer;
  };
  await verifyCard({ ...common, channel: { ...recording, transmit: record }, confirm });
  assert.ok(honest.length > 10);
  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: honest.length - 1 }),
      fc.oneof(
        fc.uint8Array({ minLength: 2, maxLength: 64 }),
        fc.uint8Array({ maxLength: 64 }).map((data) => Uint8Array.from([...data, 0x90, 0x00])),
        fc.tuple(fc.nat({ max: 255 }), fc.integer({ min: 1, max: 255 })),
      ),
      async (place, change) => {
        let asked = 0;
        const channel = {
          ...recording,
          transmit: () => {
            const at = asked++;
            const answer = (honest[at] ?? Uint8Array.of(0x6f, 0x00)).slice();
            if (at !== place) return Promise.resolve(answer);
            if (change instanceof Uint8Array) return Promise.resolve(change);
            const [index, flip] = change;
            const byte = index % answer.length;
            answer[byte] = (answer[byte] ?? 0) ^ flip;
            return Promise.resolve(answer);
          },
        };
        const { isProven, report } = await verifyCard({ ...common, channel, confirm });
        // A label may be flipped unnoticed; a proven card passed every single check all the same.
        if (isProven) assert.ok(Object.values(report.verdicts).every((verdict) => verdict === 'ok'));
        assert.equal(JSON.stringify(report).replaceAll(' ', '').includes(made.pan), false);
      },
    ),
    { numRuns: 600 },
  );
});

test('a chip that replays the answers of an honest card fails, because every challenge is fresh', async () => {
  const made = await makeCard();
  const honest: Uint8Array[] = [];
  const card = channelTo(made.card);
  const record = async (command: Uint8Array): Promise<Uint8Array> => {
    const answer = await card.transmit(command);
    honest.push(answer);
    return answer;
  };
  const common = {
    facts: made.plan.verification,
    chip: made.chip,
    randomBytes: (length: number) => new Uint8Array(randomBytes(length)),
    now: () => Date.now(),
    confirm: (): Promise<CryptogramVerdict> => Promise.resolve({ confirmed: true }),
  };
  assert.equal((await verifyCard({ ...common, channel: { ...card, transmit: record } })).isProven, true);
  const replay = { ...card, transmit: () => Promise.resolve(honest.shift() ?? Uint8Array.of(0x6f, 0x00)) };
  const { isProven, report } = await verifyCard({ ...common, channel: replay });
  assert.equal(isProven, false);
  assert.equal(report.verdicts.records, 'ok');
  assert.equal(report.verdicts.dynamicAuthentication, 'HASH');
});

test('the card number is found packed, shifted and as text, and nothing else is taken for it', () => {
  const pan = '9999001234567891';
  const panSha256 = hex(createHash('sha256').update(unhex(pan)).digest());
  for (const value of [
    pan,
    `${pan}D301120100000F`,
    `0${pan}0`.padEnd(18, '0'),
    Buffer.from(`x${pan}y`).toString('hex'),
  ]) {
    assert.equal(holdsCardNumber(unhex(value.toUpperCase()), panSha256), true, value);
  }
  for (const value of ['9999001234567890', '0801010010010200', '', 'FF'.repeat(64)]) {
    assert.equal(holdsCardNumber(unhex(value), panSha256), false, value);
  }
});
