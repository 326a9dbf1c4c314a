/**
 * Cards of every product, over both secure channels, in a real PC/SC reader driver, read by programs that were not
 * written for them: opensc-tool, scriptor (pcsc-tools) and cardpeek. Signatures are judged with the CA public key
 * alone; cardpeek must name every data object of every record. cardpeek shows and does not judge: authentication is
 * judged here, over what scriptor read. openemv's emv-tool, which would judge by itself, is in no Debian package, so
 * that no test can install it; by hand, it reads these cards through the same virtual reader.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { productProfiles } from '@cardwright/dataprep';
import {
  concatBytes,
  hex,
  parseTlv,
  type TlvNode,
  tlv,
  transactionDataHash,
  unhex,
  verifyCda,
  verifyDda,
} from '@cardwright/emv';
import { authenticateRecords, type ReadRecord, tagValue } from '../../packages/dataprep/test/terminal.ts';
import { type CardReading } from './card-reading.ts';
import { inPrivateNamespace } from './private-pcsc.ts';

const sessionLimitMs = 300_000;
const session = join(import.meta.dirname, 'read-cards-session.ts');

/** Answer data of the command that begins so. */
function answerTo({ exchanges }: CardReading, command: string): Uint8Array {
  const exchange = exchanges.find((candidate) => candidate.command.startsWith(command));
  assert(exchange, `no command ${command}`);
  assert.match(exchange.answer, /9000$/, command);
  return unhex(exchange.answer.slice(0, -4));
}

/** Every record that scriptor read from the application, by its READ RECORD command. */
function recordsOf({ exchanges }: CardReading): ReadRecord[] {
  const start = exchanges.findIndex(({ command }) => command.startsWith('80A8'));
  return exchanges.slice(start).flatMap(({ command, answer }) => {
    if (!command.startsWith('00B2')) return [];
    const [record = 0, reference = 0] = unhex(command.slice(4, 8));
    return [{ record, sfi: reference >> 3, bytes: unhex(answer.slice(0, -4)) }];
  });
}

const leaves = (nodes: readonly TlvNode[]): TlvNode[] =>
  nodes.flatMap((node) => (node.children.length === 0 ? [node] : leaves(node.children)));

/** `tag value` of everything cardpeek shows with a value. */
function cardpeekItems({ cardpeek }: CardReading): Set<string> {
  const node =
    /<attr name="id">([0-9A-F]{2,6})<\/attr>\s*<attr name="size">\d+<\/attr>\s*<attr name="val" encoding="bytes">8:([0-9A-F]*)</g;
  return new Set(Array.from(cardpeek.matchAll(node), ([, tag, value]) => `${tag ?? ''} ${value ?? ''}`));
}

describe('cards in a PC/SC reader', () => {
  let readings: readonly CardReading[];
  before(() => {
    readings = JSON.parse(inPrivateNamespace(session, sessionLimitMs)) as CardReading[];
  });

  it('were read: each product over each secure channel', () => {
    assert.equal(readings.length, productProfiles.length * 2);
    assert.equal(new Set(readings.map(({ pan }) => pan)).size, readings.length);
    const profiles = new Set(readings.map(({ profileId }) => profileId));
    assert.deepEqual([...profiles].toSorted(), ['ccd-3des', 'vsdc-cvn18']);
  });

  it('offer DDA and CDA and no SDA: their static data is under the signed certificate of the card', () => {
    for (const reading of readings) {
      const [byte = 0] = tagValue(parseTlv(answerTo(reading, '80A8')), '82');
      // EMV Book 3, C1: SDA 40, DDA 20, CDA 01.
      assert.equal(byte & 0x61, 0x21, reading.profileId);
      const tags = recordsOf(reading).flatMap(({ bytes }) => leaves(parseTlv(bytes)).map(({ tag }) => tag));
      assert(!tags.includes('93'), 'no signed static data');
      assert(tags.includes('9F46'));
    }
  });

  it('show opensc-tool their ATR and their payment directory', () => {
    for (const { opensc } of readings) {
      assert.match(opensc, /^3b:e0:00:ff:81:31:fe:45:14$/m);
      assert.match(opensc, /Received \(SW1=0x90, SW2=0x00\)/);
      assert.match(opensc, /1PAY\.SYS\.DDF/);
    }
  });

  it('answer every command of scriptor with 9000 and bytes that data preparation promised', () => {
    for (const reading of readings) {
      assert(reading.exchanges.length >= 12);
      for (const { command, answer } of reading.exchanges) assert.match(answer, /9000$/, command);
      const records = recordsOf(reading);
      const facts = reading.verification;
      assert.equal(records.length, facts.records.length);
      for (const { sfi, record, bytes } of records) {
        const fact = facts.records.find((known) => known.sfi === sfi && known.record === record);
        assert.equal(hex(createHash('sha256').update(bytes).digest()), fact?.sha256);
      }
      const directory = parseTlv(answerTo(reading, '00B2010C'));
      assert.equal(hex(tagValue(directory, '4F')), facts.aid);
      assert.match(new TextDecoder().decode(tagValue(directory, '50')), /^CARDWRIGHT /);
    }
  });

  it('authenticate offline: certificates up to the CA, then DDA and CDA with the key that these certify', () => {
    for (const reading of readings) {
      const { capk } = reading.verification;
      const options = parseTlv(answerTo(reading, '80A8'));
      const [aip, afl] = [tagValue(options, '82'), tagValue(options, '94')];
      const icc = authenticateRecords(recordsOf(reading), afl, aip, capk, '2611');
      const key = { modulus: icc.iccModulus, exponent: icc.iccExponent };

      const signature = tagValue(parseTlv(answerTo(reading, '0088')), '9F4B');
      assert(verifyDda(key, signature, unhex('A1B2C3D4')).ok);
      assert(!verifyDda(key, signature, unhex('A1B2C3D5')).ok);

      const command = reading.exchanges.at(-1)?.command ?? '';
      const cdol1Data = unhex(command.slice(10, -2));
      const answer = parseTlv(answerTo(reading, '80AE90'))[0]?.children ?? [];
      const unsigned = answer.filter(({ tag }) => tag !== '9F4B').map(({ tag, value }) => tlv(tag, value));
      const cda = verifyCda(key, tagValue(answer, '9F4B'), {
        unpredictableNumber: cdol1Data.slice(-4),
        transactionDataHash: transactionDataHash(cdol1Data, concatBytes(...unsigned)),
        cid: 0x80,
      });
      assert(cda.ok, cda.ok ? '' : cda.reason);
    }
  });

  it("take the PIN that came in the issuer's block, and offer to", () => {
    for (const reading of readings) {
      assert.equal(answerTo(reading, '00200080').length, 0);
      assert.equal(hex(answerTo(reading, '80CA9F17')), '9F170103');
      const list = hex(
        tagValue(
          recordsOf(reading).flatMap(({ bytes }) => parseTlv(bytes)),
          '8E',
        ),
      );
      assert.match(list, /4103/);
    }
  });

  it('are understood by cardpeek, every data object of every record, the directory and the options', () => {
    for (const reading of readings) {
      const shown = cardpeekItems(reading);
      const known = [
        ...recordsOf(reading).map(({ bytes }) => bytes),
        answerTo(reading, '00B2010C'),
        answerTo(reading, '80A8'),
      ];
      const expected = leaves(known.flatMap((bytes) => parseTlv(bytes)));
      assert(expected.length > 25);
      const missing = expected.filter(({ tag, value }) => !shown.has(`${tag} ${hex(value)}`));
      assert.deepEqual(
        missing.map(({ tag }) => tag),
        [],
      );
      for (const name of [
        'Issuer PK Certificate',
        'ICC Public Key Certificate',
        'Application PAN',
        'PIN Try Counter',
      ]) {
        assert.ok(reading.cardpeek.includes(`<attr name="label">${name}</attr>`), name);
      }
      assert.match(reading.cardpeek, /DDA supported/);
      assert.match(reading.cardpeek, /Plaintext PIN verification performed by ICC/);
    }
  });

  it('hold the chip value where the chip has its place, and the stripe its own', () => {
    for (const reading of readings) {
      const nodes = recordsOf(reading).flatMap(({ bytes }) => parseTlv(bytes));
      assert.match(hex(tagValue(nodes, '57')), new RegExp(`^${reading.pan}D290620100000\\d{3}00F?$`));
      assert.match(reading.stripe?.track2 ?? '', new RegExp(`^${reading.pan}=29062010000\\d{3}000$`));
    }
  });
});
