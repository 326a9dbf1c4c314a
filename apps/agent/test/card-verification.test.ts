import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import {
  type CardKnobs,
  createVirtualCard,
  type SecureChannelProtocol,
  type VirtualCard,
} from '@cardwright/card';
import { type Plan } from '@cardwright/dataprep';
import { hex } from '@cardwright/emv';
import { type ChipIdentity, type CryptogramVerdict } from '@cardwright/protocol';
import { identifyChip, initializeUpdate } from '../src/chip/chip-session.ts';
import { playScript } from '../src/chip/script-player.ts';
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
  assert.ok(typeof answer !== 'string', String(answer));
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
  for (const { value } of report.tags) assert.doesNotMatch(value, /^\d{10,}$/);
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
