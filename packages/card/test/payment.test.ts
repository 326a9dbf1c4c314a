import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type RsaPublicKeyBytes,
  applicationCryptogram,
  arpcMethod2,
  atcDiversifier,
  concatBytes,
  deriveCsk,
  findTag,
  hex,
  parseAfl,
  parseTlv,
  recoverIccCertificate,
  recoverIssuerCertificate,
  responseData,
  staticDataToAuthenticate,
  statusWord,
  tlv,
  transactionDataHash,
  uintBytes,
  unhex,
  verifyCda,
  verifyDda,
} from '@cardwright/emv';
import { type CardKnobs, type VirtualCard } from '../src/index.ts';
import { PAN, TODAY, type TestCardData, makeCardData, pinBlock } from './personalization-data.ts';
import { makeBlank, personalize, select, send } from './personalization-host.ts';

const APPLICATION = 'F0434152440001';
const GPO = '80A8000002830000';
const UN = '12345678';
/** Amount, other amount, country, TVR, currency, date, type, unpredictable number. */
const CDOL1_DATA = `00000000100000000000000003920000000000039226112300${UN}`;
const AIP = unhex('3900');

interface Personalized {
  readonly card: VirtualCard;
  readonly data: TestCardData;
}

function personalized(options: { pin?: string; pdol?: string; knobs?: CardKnobs } = {}): Personalized {
  const card = makeBlank('SCP03', options.knobs === undefined ? {} : { knobs: options.knobs });
  const data = makeCardData(options);
  personalize(card, data);
  return { card, data };
}

/** A card with the application selected and GPO done. */
function initiated(options: { pin?: string; knobs?: CardKnobs } = {}): Personalized {
  const made = personalized(options);
  select(made.card, APPLICATION);
  assert.equal(send(made.card, GPO).sw, '9000');
  return made;
}

function generateAc(card: VirtualCard, p1: number, data: string) {
  const header = Uint8Array.of(0x80, 0xae, p1, 0x00, data.length / 2);
  const response = card.transmit(concatBytes(header, unhex(data), unhex('00')));
  const sw = statusWord(response);
  const nodes = sw === '9000' ? parseTlv(responseData(response)) : [];
  const value = (tag: string): Uint8Array | undefined => findTag(nodes, tag)?.value;
  return { sw, nodes, value, cid: value('9F27')?.[0], iad: value('9F10') ?? new Uint8Array(0) };
}

function cdol2Data(arc: string, issuerAuthenticationData: string): string {
  return `${arc}${CDOL1_DATA}${issuerAuthenticationData}`;
}

/** What the issuer computes over a cryptogram's input. */
function expectedCryptogram(data: TestCardData, atc: number, iad: Uint8Array): Uint8Array {
  const sessionKey = deriveCsk(data.applicationKeys.slice(0, 16), atcDiversifier(atc));
  return applicationCryptogram(sessionKey, concatBytes(unhex(CDOL1_DATA), AIP, uintBytes(atc, 2), iad), 2);
}

/** Tag 91 with this card status update. */
function issuerAnswer(data: TestCardData, atc: number, arqc: Uint8Array, csu: string): string {
  const sessionKey = deriveCsk(data.applicationKeys.slice(0, 16), atcDiversifier(atc));
  return hex(arpcMethod2(sessionKey, arqc, unhex(csu))) + csu;
}

/** Reads the card like a terminal and recovers its public key up to the CA. */
function recoverIccKey({ card, data }: Personalized, gpoData: string): RsaPublicKeyBytes {
  const gpo = parseTlv(unhex(gpoData));
  const afl = parseAfl(findTag(gpo, '94')?.value ?? new Uint8Array(0));
  const records = afl.flatMap(({ sfi, first, last, odaRecords }) =>
    Array.from({ length: last - first + 1 }, (_, index) => {
      const record = unhex(send(card, `00B2${hex(Uint8Array.of(first + index, (sfi << 3) | 4))}00`).data);
      return { sfi, record, isSigned: index < odaRecords };
    }),
  );
  const nodes = records.flatMap(({ record }) => parseTlv(record));
  const value = (tag: string): Uint8Array => findTag(nodes, tag)?.value ?? new Uint8Array(0);
  const issuer = recoverIssuerCertificate(
    data.capk,
    { cert90: value('90'), remainder92: value('92'), exponent9F32: value('9F32') },
    { pan: PAN, todayYYMM: TODAY },
  );
  assert.ok(issuer.ok);
  const staticData = staticDataToAuthenticate(
    records.filter(({ isSigned }) => isSigned),
    [findTag(gpo, '82')?.value ?? new Uint8Array(0)],
  );
  const icc = recoverIccCertificate(
    issuer.key,
    { cert9F46: value('9F46'), remainder9F48: value('9F48'), exponent9F47: value('9F47') },
    staticData,
    { pan: PAN, todayYYMM: TODAY },
  );
  assert.ok(icc.ok);
  return icc.key;
}

/** Hash that CDA signs: terminal data, then the response without the signature. */
function cdaHash(terminalData: string, nodes: ReturnType<typeof parseTlv>): Uint8Array {
  const parts = (nodes[0]?.children ?? []).filter(({ tag }) => tag !== '9F4B');
  return transactionDataHash(unhex(terminalData), ...parts.map(({ tag, value }) => tlv(tag, value)));
}

describe('selecting and starting a transaction', () => {
  it('is found by its full and by its partial name, and only by names that match', () => {
    const { card } = personalized();
    for (const name of [APPLICATION, 'F043415244']) {
      const answer = select(card, name);
      assert.equal(answer.sw, '9000');
      assert.ok(answer.data.includes(`8407${APPLICATION}`));
    }
    assert.equal(select(card, 'A0000000031010').sw, '6A82');
    assert.equal(select(card, `${APPLICATION}00`).sw, '6A82');
  });

  it('offers the next occurrence of a partial name until there is none', () => {
    const { card } = personalized();
    assert.equal(select(card, 'F043415244').sw, '9000');
    assert.ok(send(card, '00A4040205F04341524400').data.includes('8407F0434152440002'));
    assert.equal(send(card, '00A4040205F04341524400').sw, '6A82');
    assert.equal(send(card, '00A4040105F04341524400').sw, '6A86');
  });

  it('answers an empty name with the security domain', () => {
    assert.ok(send(personalized().card, '00A4040000').data.includes('A000000151000000'));
  });

  it('GPO returns AIP and AFL, raises the ATC by one and works once per selection', () => {
    const { card } = personalized();
    for (const atc of ['0001', '0002']) {
      select(card, APPLICATION);
      const answer = send(card, GPO);
      assert.ok(answer.data.startsWith('77') && answer.data.includes('82023900'));
      assert.equal(send(card, GPO).sw, '6985');
      assert.equal(send(card, '80CA9F3600').data, `9F3602${atc}`);
    }
  });

  it('GPO wants exactly the data its PDOL asks for', () => {
    const { card } = personalized({ pdol: '9F66049F3704' });
    select(card, APPLICATION);
    assert.equal(send(card, GPO).sw, '6700');
    const gpoWith = (data: string) =>
      send(card, `80A80000${hex(Uint8Array.of(data.length / 2))}${data}00`).sw;
    assert.equal(gpoWith(`8307${'00'.repeat(7)}`), '6700');
    assert.equal(gpoWith(`8408${'00'.repeat(8)}`), '6A80');
    assert.equal(gpoWith(`8307${'00'.repeat(8)}`), '6A80');
    assert.equal(gpoWith(`8308${'00'.repeat(8)}`), '9000');
    assert.equal(send(card, '80CA9F3600').data, '9F36020001');
  });

  it('READ RECORD tells missing files, missing records and wrong references apart', () => {
    const { card } = initiated();
    assert.equal(send(card, '00B2010C00').sw, '9000');
    assert.equal(send(card, '00B2020C00').sw, '6A83');
    assert.equal(send(card, '00B2012C00').sw, '6A82');
    assert.equal(send(card, '00B2010D00').sw, '6A86');
  });

  it('GET DATA gives the ATC, last online ATC and PIN try counter, and nothing secret', () => {
    const { card } = initiated();
    assert.equal(send(card, '80CA9F3600').data, '9F36020001');
    assert.equal(send(card, '80CA9F1300').data, '9F13020000');
    assert.equal(send(card, '80CA9F1700').data, '9F170103');
    for (const tag of ['9F4F', '8000', '0082', '9F10']) assert.equal(send(card, `80CA${tag}00`).sw, '6A88');
  });

  it('refuses unknown instructions with 6D00 and wrong classes with 6E00', () => {
    const { card } = initiated();
    assert.equal(send(card, '0084000008').sw, '6D00');
    assert.equal(send(card, '80B2010C00').sw, '6E00');
    assert.equal(send(card, '00A8000002830000').sw, '6E00');
  });
});

describe('offline data authentication', () => {
  it('INTERNAL AUTHENTICATE verifies up to the CA key', () => {
    const made = personalized();
    select(made.card, APPLICATION);
    const key = recoverIccKey(made, send(made.card, GPO).data);
    const answer = send(made.card, `0088000004${UN}00`);
    const sdad = findTag(parseTlv(unhex(answer.data)), '9F4B')?.value ?? new Uint8Array(0);
    assert.ok(verifyDda(key, sdad, unhex(UN)).ok);
    assert.deepEqual(verifyDda(key, sdad, unhex('12345679')), { ok: false, reason: 'HASH' });
  });

  it('INTERNAL AUTHENTICATE wants the DDOL length and an initiated transaction', () => {
    const { card } = initiated();
    assert.equal(send(card, '00880000051234567800').sw, '6700');
    select(card, APPLICATION);
    assert.equal(send(card, `0088000004${UN}00`).sw, '6985');
  });

  it('CDA on the first cryptogram covers the terminal data and the answer', () => {
    const made = personalized();
    select(made.card, APPLICATION);
    const key = recoverIccKey(made, send(made.card, GPO).data);
    const answer = generateAc(made.card, 0x90, CDOL1_DATA);
    assert.equal(answer.cid, 0x80);
    assert.equal(answer.value('9F26'), undefined);
    const cda = verifyCda(key, answer.value('9F4B') ?? new Uint8Array(0), {
      unpredictableNumber: unhex(UN),
      transactionDataHash: cdaHash(CDOL1_DATA, answer.nodes),
      cid: 0x80,
    });
    assert.ok(cda.ok);
    assert.deepEqual(cda.cryptogram, expectedCryptogram(made.data, 1, answer.iad));
    assert.equal((answer.iad[3] ?? 0) & 0x08, 0x08, 'the CVR say that CDA was performed');
  });

  it('CDA on the second cryptogram covers CDOL1 and CDOL2 data', () => {
    const made = personalized();
    select(made.card, APPLICATION);
    const key = recoverIccKey(made, send(made.card, GPO).data);
    const first = generateAc(made.card, 0x80, CDOL1_DATA);
    const arqc = first.value('9F26') ?? new Uint8Array(0);
    const data2 = cdol2Data('3030', issuerAnswer(made.data, 1, arqc, '00820000'));
    const second = generateAc(made.card, 0x50, data2);
    assert.equal(second.cid, 0x40);
    const cda = verifyCda(key, second.value('9F4B') ?? new Uint8Array(0), {
      unpredictableNumber: unhex(UN),
      transactionDataHash: cdaHash(CDOL1_DATA + data2, second.nodes),
      cid: 0x40,
    });
    assert.ok(cda.ok);
    assert.deepEqual(cda.cryptogram, expectedCryptogram(made.data, 1, second.iad));
  });

  it('signs no AAC, unless it was told to', () => {
    const plain = generateAc(initiated().card, 0x10, CDOL1_DATA);
    assert.equal(plain.value('9F26')?.length, 8);
    assert.equal(plain.value('9F4B'), undefined);
    const signing = generateAc(initiated({ knobs: { signsAac: true } }).card, 0x10, CDOL1_DATA);
    assert.equal(signing.value('9F4B')?.length, 144);
  });
});

describe('application cryptograms', () => {
  it('the ARQC is the MAC over CDOL1 data, AIP, ATC and IAD under the common session key', () => {
    const { card, data } = initiated();
    const answer = generateAc(card, 0x80, CDOL1_DATA);
    assert.equal(answer.cid, 0x80);
    assert.deepEqual(answer.value('9F36'), unhex('0001'));
    assert.deepEqual(answer.value('9F26'), expectedCryptogram(data, 1, answer.iad));
    // CVR: second not requested, ARQC first; three PIN tries; both offline limits exceeded.
    assert.equal(hex(answer.iad), `0FA501A030C00000${'00'.repeat(8)}0F${'00'.repeat(15)}`);
  });

  it('a card without offline allowance answers a TC request with an ARQC, an AAC request with an AAC', () => {
    assert.equal(generateAc(initiated().card, 0x40, CDOL1_DATA).cid, 0x80);
    assert.equal(generateAc(initiated().card, 0x00, CDOL1_DATA).cid, 0x00);
  });

  it('GENERATE AC wants exactly the CDOL length, a known request and a GPO', () => {
    const { card } = initiated();
    assert.equal(generateAc(card, 0x80, `${CDOL1_DATA}00`).sw, '6700');
    assert.equal(generateAc(card, 0xc0, CDOL1_DATA).sw, '6A86');
    assert.equal(generateAc(card, 0x81, CDOL1_DATA).sw, '6A86');
    select(card, APPLICATION);
    assert.equal(generateAc(card, 0x80, CDOL1_DATA).sw, '6985');
  });

  it('gives a TC after a verified approval and remembers that it was online', () => {
    const { card, data } = initiated();
    const arqc = generateAc(card, 0x80, CDOL1_DATA).value('9F26') ?? new Uint8Array(0);
    const answer = generateAc(card, 0x40, cdol2Data('3030', issuerAnswer(data, 1, arqc, '00820000')));
    assert.equal(answer.cid, 0x40);
    assert.deepEqual(answer.value('9F26'), expectedCryptogram(data, 1, answer.iad));
    assert.equal((answer.iad[3] ?? 0) >> 4, 0x6, 'the CVR say: TC second, ARQC first');
    assert.equal(send(card, '80CA9F1300').data, '9F13020001');
  });

  it('declines when the issuer does not approve, when the ARPC is wrong and when no answer came', () => {
    const verdict = (authentication: (data: TestCardData, arqc: Uint8Array) => string) => {
      const { card, data } = initiated();
      const arqc = generateAc(card, 0x80, CDOL1_DATA).value('9F26') ?? new Uint8Array(0);
      return generateAc(card, 0x40, cdol2Data('3030', authentication(data, arqc)));
    };
    assert.equal(verdict((data, arqc) => issuerAnswer(data, 1, arqc, '00020000')).cid, 0x00);
    const wrong = verdict((data, arqc) => issuerAnswer(data, 2, arqc, '00820000'));
    assert.equal(wrong.cid, 0x00);
    assert.equal((wrong.iad[3] ?? 0) & 0x03, 0x01, 'issuer authentication failed');
    const silent = verdict(() => '0000000000000000');
    assert.equal(silent.cid, 0x00);
    assert.equal((silent.iad[3] ?? 0) & 0x03, 0x02, 'issuer authentication not performed');
  });

  it('obeys no order of a CSU whose ARPC is wrong', () => {
    const { card, data } = initiated();
    const arqc = generateAc(card, 0x80, CDOL1_DATA).value('9F26') ?? new Uint8Array(0);
    generateAc(card, 0x40, cdol2Data('3030', issuerAnswer(data, 2, arqc, '01F20000')));
    assert.equal(send(card, '80CA9F1700').data, '9F170103');
    assert.equal(select(card, APPLICATION).sw, '9000');
  });

  it('blocks the application when a verified CSU orders it', () => {
    const { card, data } = initiated();
    const arqc = generateAc(card, 0x80, CDOL1_DATA).value('9F26') ?? new Uint8Array(0);
    generateAc(card, 0x00, cdol2Data('3030', issuerAnswer(data, 1, arqc, '00200000')));
    assert.equal(select(card, APPLICATION).sw, '6283');
    assert.equal(send(card, GPO).sw, '6985');
  });

  it('refuses a third GENERATE AC, a second after AAC, and a second ARQC with 6985', () => {
    const { card, data } = initiated();
    const arqc = generateAc(card, 0x80, CDOL1_DATA).value('9F26') ?? new Uint8Array(0);
    const data2 = cdol2Data('3030', issuerAnswer(data, 1, arqc, '00820000'));
    assert.equal(generateAc(card, 0x80, data2).sw, '6985');
    assert.equal(generateAc(card, 0x40, data2).sw, '9000');
    assert.equal(generateAc(card, 0x40, data2).sw, '6985');
    const declined = initiated().card;
    generateAc(declined, 0x00, CDOL1_DATA);
    assert.equal(generateAc(declined, 0x40, data2).sw, '6985');
  });

  it('reports an online transaction that was never completed in the next CVR', () => {
    const { card } = initiated();
    generateAc(card, 0x80, CDOL1_DATA);
    card.reset();
    select(card, APPLICATION);
    send(card, GPO);
    assert.equal((generateAc(card, 0x80, CDOL1_DATA).iad[4] ?? 0) & 0x01, 0x01);
  });
});

describe('offline PIN', () => {
  const verify = (card: VirtualCard, pin: string) => send(card, `0020008008${hex(pinBlock(pin))}`).sw;

  it('counts wrong tries down, resets on the right PIN and blocks at zero', () => {
    const { card } = initiated({ pin: '4524' });
    assert.equal(verify(card, '1111'), '63C2');
    assert.equal(verify(card, '4524'), '9000');
    assert.equal(send(card, '80CA9F1700').data, '9F170103');
    for (const sw of ['63C2', '63C1', '63C0', '6983']) assert.equal(verify(card, '1111'), sw);
    assert.equal(verify(card, '4524'), '6983');
    card.reset();
    select(card, APPLICATION);
    send(card, GPO);
    assert.equal(verify(card, '4524'), '6983');
  });

  it('is 6A88 on a card without a PIN', () => {
    assert.equal(verify(initiated().card, '1234'), '6A88');
  });
});
