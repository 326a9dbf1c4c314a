/** A minimal terminal: reads a personalised card and authenticates it with nothing but the CA public key. */
import assert from 'node:assert/strict';
import {
  concatBytes,
  encodeCommand,
  findTag,
  hex,
  parseAfl,
  parseTlv,
  recoverIccCertificate,
  recoverIssuerCertificate,
  responseData,
  staticDataToAuthenticate,
  statusWord,
  type TlvNode,
  unhex,
} from '@cardwright/emv';

export interface ReadRecord {
  readonly sfi: number;
  readonly record: number;
  readonly bytes: Uint8Array;
}

/** Value of a tag that must be there. */
export function tagValue(nodes: readonly TlvNode[], tag: string): Uint8Array {
  const node = findTag(nodes, tag);
  assert(node, `tag ${tag} is missing`);
  return node.value;
}

/** Recovers issuer and ICC key from the records; every check of EMV Book 2 must pass. */
export function authenticateRecords(
  records: readonly ReadRecord[],
  afl: Uint8Array,
  aip: Uint8Array,
  capk: { modulus: string; exponent: string },
  todayYYMM: string,
): { iccModulus: Uint8Array; iccExponent: Uint8Array; iin: string; iccExpiryMMYY: string } {
  const nodes = records.flatMap(({ bytes }) => parseTlv(bytes));
  const pan = hex(tagValue(nodes, '5A')).replace(/F$/, '');
  const issuer = recoverIssuerCertificate(
    { modulus: unhex(capk.modulus), exponent: unhex(capk.exponent) },
    {
      cert90: tagValue(nodes, '90'),
      remainder92: findTag(nodes, '92')?.value ?? new Uint8Array(0),
      exponent9F32: tagValue(nodes, '9F32'),
    },
    { pan, todayYYMM },
  );
  assert(issuer.ok, `issuer certificate: ${issuer.ok ? '' : issuer.reason}`);
  const signed = parseAfl(afl).flatMap(({ sfi, first, odaRecords }) =>
    Array.from({ length: odaRecords }, (_, i) => {
      const found = records.find((r) => r.sfi === sfi && r.record === first + i);
      assert(found);
      return { sfi, record: found.bytes };
    }),
  );
  const icc = recoverIccCertificate(
    issuer.key,
    {
      cert9F46: tagValue(nodes, '9F46'),
      remainder9F48: findTag(nodes, '9F48')?.value ?? new Uint8Array(0),
      exponent9F47: tagValue(nodes, '9F47'),
    },
    staticDataToAuthenticate(signed, [aip]),
    { pan, todayYYMM },
  );
  assert(icc.ok, `ICC certificate: ${icc.ok ? '' : icc.reason}`);
  return {
    iccModulus: icc.key.modulus,
    iccExponent: icc.key.exponent,
    iin: issuer.iin,
    iccExpiryMMYY: icc.expiryMMYY,
  };
}

/** Sends a command that must succeed and returns its data. */
export function send(card: { transmit(c: Uint8Array): Uint8Array }, command: Uint8Array): Uint8Array {
  const response = card.transmit(command);
  assert.equal(statusWord(response), '9000');
  return responseData(response);
}

export function select(card: { transmit(c: Uint8Array): Uint8Array }, aid: string): Uint8Array {
  return send(card, encodeCommand({ cla: 0x00, ins: 0xa4, p1: 0x04, p2: 0x00, data: unhex(aid), le: 256 }));
}

/** GPO without PDOL, then every record of the AFL. */
export function readApplication(card: { transmit(c: Uint8Array): Uint8Array }): {
  aip: Uint8Array;
  afl: Uint8Array;
  records: ReadRecord[];
} {
  const gpo = parseTlv(
    send(card, encodeCommand({ cla: 0x80, ins: 0xa8, p1: 0, p2: 0, data: unhex('8300'), le: 256 })),
  );
  const [aip, afl] = [tagValue(gpo, '82'), tagValue(gpo, '94')];
  const records = parseAfl(afl).flatMap(({ sfi, first, last }) =>
    Array.from({ length: last - first + 1 }, (_, i) => ({
      sfi,
      record: first + i,
      bytes: readRecord(card, sfi, first + i),
    })),
  );
  return { aip, afl, records };
}

export function readRecord(
  card: { transmit(c: Uint8Array): Uint8Array },
  sfi: number,
  record: number,
): Uint8Array {
  return send(card, encodeCommand({ cla: 0, ins: 0xb2, p1: record, p2: (sfi << 3) | 4, le: 256 }));
}

/** First GENERATE AC asking for an ARQC; evidence as the agent sends it. */
export function generateArqc(
  card: { transmit(c: Uint8Array): Uint8Array },
  cdol1Data: Uint8Array,
): { cdol1Data: string; cid: string; atc: string; arqc: string; iad: string } {
  const answer = parseTlv(
    send(card, encodeCommand({ cla: 0x80, ins: 0xae, p1: 0x80, p2: 0, data: cdol1Data, le: 256 })),
  );
  const template80 = findTag(answer, '80')?.value;
  const [cid, atc, arqc, iad] =
    template80 === undefined
      ? [
          tagValue(answer, '9F27'),
          tagValue(answer, '9F36'),
          tagValue(answer, '9F26'),
          tagValue(answer, '9F10'),
        ]
      : [template80.slice(0, 1), template80.slice(1, 3), template80.slice(3, 11), template80.slice(11)];
  return { cdol1Data: hex(cdol1Data), cid: hex(cid), atc: hex(atc), arqc: hex(arqc), iad: hex(iad) };
}

/** CDOL1 data of a small domestic purchase. */
export function purchaseData(unpredictableNumber: Uint8Array): Uint8Array {
  return concatBytes(
    unhex('000000001000' + '000000000000' + '0392' + '0000000000' + '0392' + '261123' + '00'),
    unpredictableNumber,
  );
}
