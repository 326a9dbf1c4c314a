/** The second profile: another data layout on the same chip, personalised and proven like the first. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { luhnCheckDigit } from '@cardwright/domain';
import { concatBytes, encodeCommand, findTag, hex, parseTlv, unhex } from '@cardwright/emv';
import { confirmCryptogram, type Plan, vsdcCvn18Profile } from '../src/index.ts';
import { testPrefix } from './card-data-generator.ts';
import { certificateFor, type KeyFixture, openKeyFixture, planFor } from './key-fixture.ts';
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
const data = { pan: body + luhnCheckDigit(body), exp: '2906', name: 'TARO YAMADA', cvv2: '123' };

describe('a card of the VSDC-like profile', () => {
  let fixture: KeyFixture;
  let plan: Plan;
  before(async () => {
    fixture = await openKeyFixture();
    plan = await vsdcPlan();
  });
  after(() => fixture.close());

  const vsdcPlan = async (profile = vsdcCvn18Profile): Promise<Plan> =>
    planFor(fixture, data, profile, await certificateFor(fixture.keys, vsdcCvn18Profile));

  it('is loaded with the DGIs of its own layout', () => {
    const dgis = plan.instances.find(({ label }) => label === 'APP')?.dgis ?? [];
    assert.deepEqual(
      dgis.map(({ id }) => id),
      ['9102', '9103', '9104', '0101', '0201', '0202', '0301', '9200', '0D01', '0E01', '8000'].concat([
        '8201',
        '8202',
        '8203',
        '8204',
        '8205',
        '9000',
        '9010',
      ]),
    );
    const iad = dgis.find(({ id }) => id === '9200');
    assert.equal(iad?.kind, 'clear');
    assert.equal(iad.value, '9F1007' + '06011203000000');
    assert.equal(plan.udk.option, 'A');
    assert.equal(plan.verification.capk.index, '02');
  });

  for (const protocol of ['SCP02', 'SCP03'] as const) {
    it(`over ${protocol} proves itself: directory, records, certificates, cryptogram`, async () => {
      const card = await personalize(fixture, plan, protocol);
      const facts = plan.verification;
      select(card, facts.pseAid);
      assert.equal(hex(tagValue(parseTlv(readRecord(card, 1, 1)), '4F')), 'F0434152440002');
      assert(findTag(parseTlv(select(card, facts.ppseAid)), 'BF0C'));
      select(card, facts.aid);
      const read = readApplication(card);
      assert.equal(hex(read.afl), facts.afl);
      authenticateRecords(read.records, read.afl, read.aip, facts.capk, '2611');
      const evidence = { epoch: 1, ...generateArqc(card, purchaseData(new Uint8Array(4))) };
      assert.match(evidence.iad, /^06011203A0/);
      assert.deepEqual(await confirmCryptogram(fixture.keys, plan, evidence), { confirmed: true });
      const otherVersion = { ...evidence, iad: `06010A03${evidence.iad.slice(8)}` };
      assert.deepEqual(await confirmCryptogram(fixture.keys, plan, otherVersion), {
        confirmed: false,
        reason: 'IAD_FORM',
      });
      select(card, 'F0434152440001');
      assert.equal(hex(card.transmit(unhex('80A8000002830000'))), '6985');
    });
  }

  it('over small commands of one DGI each, with the format announced, is the same card', async () => {
    const packing = { maxCommandBytes: 64, sharesCommands: false, structureFlag: '08' } as const;
    const made = await vsdcPlan({ ...vsdcCvn18Profile, chip: { ...vsdcCvn18Profile.chip, packing } });
    const card = await personalize(fixture, made, 'SCP03');
    select(card, made.verification.aid);
    assert.equal(hex(readApplication(card).afl), made.verification.afl);
  });

  it('reports its results in three bytes and hears its issuer in the second GENERATE AC', async () => {
    const card = await personalize(fixture, plan, 'SCP03');
    select(card, plan.verification.aid);
    readApplication(card);
    const cdol1 = purchaseData(new Uint8Array(4));
    const first = generateArqc(card, cdol1);
    // No offline transaction is allowed by the limits of this profile: the counter check shows.
    assert.equal(first.iad, '06011203A02000');
    // A wrong issuer answer: declined, and the results say that issuer authentication failed.
    const cdol2 = concatBytes(unhex('3030'), cdol1, unhex('0011223344556677'));
    const answer = parseTlv(
      send(card, encodeCommand({ cla: 0x80, ins: 0xae, p1: 0x40, p2: 0, data: cdol2, le: 256 })),
    );
    assert.equal(hex(tagValue(answer, '9F27')), '00');
    assert.equal(hex(tagValue(answer, '9F10')), '06011203282000');
  });
});
