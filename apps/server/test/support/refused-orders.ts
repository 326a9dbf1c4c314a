/** What an INSTANT order may get wrong, and the refusal that each fault earns. */
import assert from 'node:assert/strict';
import { check, D1Error } from '@cardwright/protocol';
import { type ClientAnswer } from '@cardwright/runtime';
import { foreignStationId } from './server-fixture.ts';
import { jsonOf } from './thread.ts';

type Body = Record<string, unknown>;

export function assertRefused(answer: ClientAnswer, status: number, errorCode: string, error?: string): void {
  const body = jsonOf(answer);
  assert.deepEqual([answer.status, body['errorCode']], [status, errorCode], answer.body);
  if (error !== undefined) assert.equal(body['error'], error);
  assert.equal(check(D1Error, body).ok, true);
  assert.deepEqual(Object.keys(body).sort(), ['error', 'errorCode']);
  assert.match(String(answer.headers['content-type']), /^application\/json/);
  assert.match(String(answer.headers['x-correlation-id']), /^[A-Za-z0-9_-]{1,64}$/);
}

/** Changes one part of a compact JWE's header. */
function withHeader(jwe: string, change: (header: Body) => Body): string {
  const [head = '', ...rest] = jwe.split('.');
  const header = JSON.parse(Buffer.from(head, 'base64url').toString()) as Body;
  return [Buffer.from(JSON.stringify(change(header))).toString('base64url'), ...rest].join('.');
}

export const payment = { config: 'CCD_3DES_01', odaKeyIndex: '01', derivationKeyIndex: '01' };
export const format = 'FIELD_INVALID_FORMAT';
export const value = 'FIELD_INVALID_VALUE';

/** What is changed in a valid order, and the refusal it earns. */
export const refusedOrders: readonly (readonly [string, Body, string, string])[] = [
  ['channel THALES', { distributionChannel: 'THALES' }, value, 'distributionChannel'],
  ['channel CENTRAL', { distributionChannel: 'CENTRAL' }, value, 'distributionChannel'],
  ['a channel of the wrong type', { distributionChannel: 1 }, format, 'distributionChannel'],
  ['no channel', { distributionChannel: undefined }, format, 'distributionChannel'],
  ['a shipment', { shipment: {} }, value, 'shipment'],
  ['a carrier configuration', { cardCarrierConfig: {} }, value, 'cardCarrierConfig'],
  ['clear track data', { trackData: { track2: 'x' } }, value, 'trackData'],
  ['a clear PIN', { pin: '1234' }, format, 'pin'],
  ['an unknown member', { surprise: true }, format, 'surprise'],
  ['an unknown nested member', { services: { issuance: 'CREATION', extra: 1 } }, format, 'services.extra'],
  ['no services', { services: undefined }, format, 'services'],
  ['services without issuance', { services: {} }, format, 'services.issuance'],
  ['an unknown issuance', { services: { issuance: 'GIFT' } }, value, 'services.issuance'],
  ['a PIN mailer', { services: { issuance: 'CREATION', pinMailer: true } }, value, 'services.pinMailer'],
  [
    'a PIN mailer of the wrong type',
    { services: { issuance: 'CREATION', pinMailer: 1 } },
    format,
    'services.pinMailer',
  ],
  ['a delivery', { services: { issuance: 'CREATION', delivery: 'EXPRESS' } }, value, 'services.delivery'],
  ['a carrier', { services: { issuance: 'CREATION', cardCarrier: 'A4' } }, value, 'services.cardCarrier'],
  ['a packaging', { services: { issuance: 'CREATION', packaging: 'BOX' } }, value, 'services.packaging'],
  [
    'a priority that is too long',
    { services: { issuance: 'CREATION', priority: 'x'.repeat(65) } },
    format,
    'services.priority',
  ],
  ['no station', { persoStation: undefined }, format, 'persoStation'],
  ['a malformed station', { persoStation: 'KIOSK 1' }, format, 'persoStation'],
  ['an unknown station', { persoStation: 'KIOSK-PS-999' }, value, 'persoStation'],
  ['a station in other case', { persoStation: 'kiosk-ps-101' }, value, 'persoStation'],
  ["another issuer's station", { persoStation: foreignStationId }, value, 'persoStation'],
  ['an unknown product', { cardProductId: 'GOLD' }, value, 'cardProductId'],
  ['a malformed product', { cardProductId: 'DEBIT STD' }, format, 'cardProductId'],
  ['a malformed consumer', { consumerId: 'a b' }, format, 'consumerId'],
  ['a malformed request id', { issuerRequestId: 'a/b' }, format, 'issuerRequestId'],
  ['a request id that is too long', { issuerRequestId: 'a'.repeat(65) }, format, 'issuerRequestId'],
  ['no payment application', { paymentApplication: undefined }, format, 'paymentApplication'],
  [
    'no configuration',
    { paymentApplication: { odaKeyIndex: '01', derivationKeyIndex: '01' } },
    format,
    'paymentApplication.config',
  ],
  [
    'no ODA key',
    { paymentApplication: { config: 'CCD_3DES_01', derivationKeyIndex: '01' } },
    format,
    'paymentApplication.odaKeyIndex',
  ],
  [
    'an unknown configuration',
    { paymentApplication: { ...payment, config: 'OTHER' } },
    value,
    'paymentApplication.config',
  ],
  [
    'an unknown ODA key',
    { paymentApplication: { ...payment, odaKeyIndex: '02' } },
    value,
    'paymentApplication.odaKeyIndex',
  ],
  [
    'an unknown derivation key',
    { paymentApplication: { ...payment, derivationKeyIndex: 7 } },
    value,
    'paymentApplication.derivationKeyIndex',
  ],
  [
    'an unknown CVK',
    { paymentApplication: { ...payment, cvKeyIndex: '9' } },
    value,
    'paymentApplication.cvKeyIndex',
  ],
  [
    'an unknown PVK',
    { paymentApplication: { ...payment, pvKeyIndex: '01' } },
    value,
    'paymentApplication.pvKeyIndex',
  ],
  [
    'a malformed key index',
    { paymentApplication: { ...payment, odaKeyIndex: '0 1' } },
    format,
    'paymentApplication.odaKeyIndex',
  ],
  [
    'a fractional key index',
    { paymentApplication: { ...payment, odaKeyIndex: 1.5 } },
    format,
    'paymentApplication.odaKeyIndex',
  ],
  ['a design of the wrong type', { cardDesign: [] }, format, 'cardDesign'],
  ['too many lines', { cardDesign: { customLines: Array(9).fill('x') } }, format, 'cardDesign.customLines'],
  [
    'a member id that is too long',
    { cardDesign: { memberId: 'x'.repeat(65) } },
    format,
    'cardDesign.memberId',
  ],
  ['a malformed image', { cardDesign: { cardImage: '../../etc' } }, format, 'cardDesign.cardImage'],
  ['no encrypted data', { encryptedData: undefined }, format, 'encryptedData'],
  ['encrypted data that is no string', { encryptedData: { a: 1 } }, format, 'encryptedData'],
  ['empty encrypted data', { encryptedData: '' }, value, 'encryptedData'],
  ['encrypted data that is too long', { encryptedData: 'a'.repeat(8193) }, value, 'encryptedData'],
  ['four parts', { encryptedData: 'a.b.c.d' }, value, 'encryptedData'],
];

export const refusedJwes: readonly (readonly [string, (jwe: string) => string])[] = [
  ['six parts', (jwe) => `${jwe}.AAAA`],
  ['an encrypted key', (jwe) => jwe.replace('..', '.AAAA.')],
  [
    'a short IV',
    (jwe) =>
      jwe
        .split('.')
        .map((part, at) => (at === 2 ? part.slice(0, 8) : part))
        .join('.'),
  ],
  ['a short tag', (jwe) => jwe.slice(0, -4)],
  [
    'an empty ciphertext',
    (jwe) =>
      jwe
        .split('.')
        .map((part, at) => (at === 3 ? '' : part))
        .join('.'),
  ],
  ['foreign characters', (jwe) => `${jwe.slice(0, -1)}=`],
  ['no header', (jwe) => jwe.slice(jwe.indexOf('.'))],
  ['a header that is no JSON', (jwe) => `AAAA${jwe.slice(jwe.indexOf('.'))}`],
  ['another algorithm', (jwe) => withHeader(jwe, (header) => ({ ...header, alg: 'dir' }))],
  ['another encryption', (jwe) => withHeader(jwe, (header) => ({ ...header, enc: 'A128GCM' }))],
  ['compression', (jwe) => withHeader(jwe, (header) => ({ ...header, zip: 'DEF' }))],
  ['crit', (jwe) => withHeader(jwe, (header) => ({ ...header, crit: ['exp'] }))],
  ['a key by address', (jwe) => withHeader(jwe, (header) => ({ ...header, jku: 'https://x' }))],
  ['no kid', (jwe) => withHeader(jwe, (header) => ({ ...header, kid: undefined }))],
  ['a kid that is a path', (jwe) => withHeader(jwe, (header) => ({ ...header, kid: '../key' }))],
  ['an unknown kid', (jwe) => withHeader(jwe, (header) => ({ ...header, kid: 'recipient-9' }))],
  ['no ephemeral key', (jwe) => withHeader(jwe, (header) => ({ ...header, epk: undefined }))],
  [
    'another curve',
    (jwe) => withHeader(jwe, (header) => ({ ...header, epk: { ...(header['epk'] as Body), crv: 'P-384' } })),
  ],
  [
    'a point beside the curve',
    (jwe) =>
      withHeader(jwe, (header) => ({
        ...header,
        epk: { ...(header['epk'] as Body), y: Buffer.alloc(32, 7).toString('base64url') },
      })),
  ],
  [
    'an ephemeral private key',
    (jwe) => withHeader(jwe, (header) => ({ ...header, epk: { ...(header['epk'] as Body), d: 'AA' } })),
  ],
];
