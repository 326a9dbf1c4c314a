/** A plan personalises a virtual card over SCP02 and SCP03, which then proves itself to a terminal. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { luhnCheckDigit } from '@cardwright/domain';
import { encodeCommand, findTag, hex, parseTlv, verifyDda } from '@cardwright/emv';
import { ccd3desProfile, confirmCryptogram, type Plan } from '../src/index.ts';
import { testPrefix } from './card-data-generator.ts';
import { type KeyFixture, openKeyFixture, planFor } from './key-fixture.ts';
import { personalize } from './personalized-card.ts';
import {
  authenticateRecords,
  generateArqc,
  purchaseData,
  readApplication,
  readRecord,
  select,
  send,
  tagValue,
} from './terminal.ts';

const body = `${testPrefix}123456789`;
const pan = body + luhnCheckDigit(body);
const longBody = `${testPrefix}123456789012`;
const longPan = longBody + luhnCheckDigit(longBody);
const cardData = { exp: '2906', name: '山田太郎', encodedName: 'YAMADA/TARO', cvv2: '123' };

describe('a card personalised from a plan', () => {
  let fixture: KeyFixture;
  before(async () => {
    fixture = await openKeyFixture();
  });
  after(() => fixture.close());

  for (const protocol of ['SCP02', 'SCP03'] as const) {
    it(`over ${protocol} proves itself: directory, records, certificates, DDA, cryptogram`, async () => {
      const { keys } = fixture;
      const plan = await planFor(fixture, { ...cardData, pan });
      const card = await personalize(fixture, plan, protocol);
      const facts = plan.verification;
      select(card, facts.pseAid);
      assert.equal(hex(tagValue(parseTlv(readRecord(card, 1, 1)), '4F')), facts.aid);
      assert(findTag(parseTlv(select(card, facts.ppseAid)), 'BF0C'));
      select(card, facts.aid);
      const read = readApplication(card);
      assert.equal(hex(read.afl), facts.afl);
      assert.equal(hex(read.aip), facts.aip);
      const icc = authenticateRecords(read.records, read.afl, read.aip, facts.capk, '2611');

      const challenge = new Uint8Array(randomBytes(4));
      const answer = parseTlv(
        send(card, encodeCommand({ cla: 0, ins: 0x88, p1: 0, p2: 0, data: challenge, le: 256 })),
      );
      const sdad = findTag(answer, '9F4B')?.value ?? tagValue(answer, '80');
      const dda = verifyDda({ modulus: icc.iccModulus, exponent: icc.iccExponent }, sdad, challenge);
      assert(dda.ok);

      const evidence = { epoch: 1, ...generateArqc(card, purchaseData(new Uint8Array(randomBytes(4)))) };
      assert.deepEqual(await confirmCryptogram(keys, plan, evidence), { confirmed: true });
      await refusesEveryChange(fixture, plan, evidence);
    });
  }

  for (const option of ['A', 'B'] as const) {
    it(`with a 19-digit number and option ${option} its cryptogram is confirmed, by that option only`, async () => {
      const profile = { ...ccd3desProfile, udkOption: option };
      const plan = await planFor(fixture, { ...cardData, pan: longPan }, profile);
      const card = await personalize(fixture, plan, 'SCP03');
      select(card, plan.verification.aid);
      const { afl, aip, records } = readApplication(card);
      authenticateRecords(records, afl, aip, plan.verification.capk, '2611');
      const evidence = { epoch: 1, ...generateArqc(card, purchaseData(new Uint8Array(4))) };
      assert.deepEqual(await confirmCryptogram(fixture.keys, plan, evidence), { confirmed: true });
      const other = {
        ...plan,
        udk: { ...plan.udk, option: option === 'A' ? ('B' as const) : ('A' as const) },
      };
      assert.deepEqual(await confirmCryptogram(fixture.keys, other, evidence), {
        confirmed: false,
        reason: 'CRYPTOGRAM_MISMATCH',
      });
    });
  }
});

type Evidence = Parameters<typeof confirmCryptogram>[2];

async function refusesEveryChange({ keys }: KeyFixture, plan: Plan, evidence: Evidence): Promise<void> {
  const flip = (value: string): string => value.slice(0, -1) + (value.endsWith('0') ? '1' : '0');
  const changes: [Partial<Evidence>, string][] = [
    [{ cdol1Data: flip(evidence.cdol1Data) }, 'CRYPTOGRAM_MISMATCH'],
    [{ arqc: flip(evidence.arqc) }, 'CRYPTOGRAM_MISMATCH'],
    [{ iad: flip(evidence.iad) }, 'CRYPTOGRAM_MISMATCH'],
    [{ atc: '0002' }, 'CRYPTOGRAM_MISMATCH'],
    [{ atc: '0000' }, 'ATC_NOT_COUNTED'],
    [{ atc: '00' }, 'ATC_LENGTH'],
    [{ arqc: '' }, 'ARQC_LENGTH'],
    [{ cid: '40' }, 'CID_NOT_ARQC'],
    [{ cid: '' }, 'CID_NOT_ARQC'],
    [{ cdol1Data: evidence.cdol1Data.slice(2) }, 'CDOL1_LENGTH'],
    [{ iad: `06${evidence.iad.slice(2)}` }, 'IAD_FORM'],
    [{ iad: evidence.iad.slice(2) }, 'IAD_FORM'],
  ];
  for (const [change, reason] of changes) {
    const verdict = await confirmCryptogram(keys, plan, { ...evidence, ...change });
    assert.deepEqual(verdict, { confirmed: false, reason });
  }
}
