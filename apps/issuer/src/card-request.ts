/**
 * What a caller of the card API may ask for, and the card data made from it.
 *
 * Invariants: only test card numbers; the security code is made here, used once and kept nowhere; a refusal names
 * the field and never repeats a value.
 */
import { createHmac, randomBytes, randomInt } from 'node:crypto';
import { type CardData, isValidPan, makeTestPan, maskPan, testPanPrefix } from '@cardwright/issuer-sdk';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';

const CardRequestBody = Type.Object(
  {
    /** Give one to be able to repeat the call; made here when absent. */
    cardId: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_-]{1,48}$' })),
    name: Type.String({ minLength: 1, maxLength: 128 }),
    secondName: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
    /** Needed for a name that chip and stripe cannot hold as it is, such as a Japanese one. */
    encodedName: Type.Optional(Type.String({ minLength: 2, maxLength: 26 })),
    /** One of the issuer's products; the usual one when absent. */
    productId: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' })),
    persoStation: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' })),
    pan: Type.Optional(Type.String({ pattern: '^[0-9]{12,19}$' })),
    /** The customer's PIN as the issuer's own security module enciphered it; this program never sees a clear one. */
    pinBlock: Type.Optional(
      Type.Object(
        {
          format: Type.Union([
            Type.Literal('ISO9564-4'),
            Type.Literal('ISO9564-0'),
            Type.Literal('ISO9564-3'),
          ]),
          value: Type.String({ pattern: '^([0-9A-F]{16}){1,2}$' }),
          keyIndex: Type.String({ pattern: '^[A-Za-z0-9_-]{1,16}$' }),
        },
        { additionalProperties: false },
      ),
    ),
    issuance: Type.Optional(
      Type.Union([Type.Literal('CREATION'), Type.Literal('RENEWAL'), Type.Literal('REPLACEMENT')]),
    ),
    customLines: Type.Optional(Type.Array(Type.String({ maxLength: 64 }), { maxItems: 8 })),
    memberId: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
  },
  { additionalProperties: false },
);
export type CardRequest = Static<typeof CardRequestBody>;

export type ReadCardRequest =
  | { readonly ok: true; readonly request: CardRequest }
  | {
      readonly ok: false;
      readonly field: string;
      readonly errorCode: 'FIELD_INVALID_FORMAT' | 'FIELD_INVALID_VALUE';
    };

const validator = Compile(CardRequestBody);
const validYears = 4;

/** `/customLines/1` → `customLines[1]` */
function dotted(pointer: string): string {
  return pointer
    .slice(1)
    .replaceAll(/\/(\d+)/g, '[$1]')
    .replaceAll('/', '.');
}

function firstWrongField(body: unknown): string {
  for (const { keyword, instancePath, params } of validator.Errors(body)) {
    const names = params as { requiredProperties?: string[]; additionalProperties?: string[] };
    if (keyword === 'required') return names.requiredProperties?.[0] ?? 'body';
    if (keyword === 'additionalProperties') return names.additionalProperties?.[0] ?? 'body';
    if (instancePath !== '') return dotted(instancePath);
  }
  return 'body';
}

/** Checks a request body. `productIds`: the products that may be named. */
export function readCardRequest(body: unknown, productIds: readonly string[]): ReadCardRequest {
  if (!validator.Check(body)) {
    return { ok: false, errorCode: 'FIELD_INVALID_FORMAT', field: firstWrongField(body) };
  }
  const refuse = (field: string): ReadCardRequest => ({ ok: false, errorCode: 'FIELD_INVALID_VALUE', field });
  // A card id must never be the card number: ids are in paths and logs.
  if (/\d{12}/.test(body.cardId ?? '')) return refuse('cardId');
  if (body.name.trim() === '') return refuse('name');
  if (body.productId !== undefined && !productIds.includes(body.productId)) return refuse('productId');
  if (body.pan !== undefined && !(body.pan.startsWith(testPanPrefix) && isValidPan(body.pan)))
    return refuse('pan');
  return { ok: true, request: body };
}

const idLetters = 'bcdfghjkmnpqrstv';

/** A new id: letters only, so that nothing in it can be taken for a card number. 96 random bits. */
export function newId(prefix: 'card' | 'req'): string {
  const letters = Array.from(randomBytes(24), (byte) => idLetters.charAt(byte % 16));
  return `${prefix}_${letters.join('')}`;
}

/** YYMM, four years from now. */
function expiryAfter(nowMs: number): string {
  const now = new Date(nowMs);
  const year = (now.getUTCFullYear() + validYears) % 100;
  return String(year).padStart(2, '0') + String(now.getUTCMonth() + 1).padStart(2, '0');
}

/** The data of one new card: number (given or made), expiry, random security code. */
export function makeCardData(request: CardRequest, nowMs: number): CardData {
  return {
    pan: request.pan ?? makeTestPan(),
    exp: expiryAfter(nowMs),
    name: request.name,
    ...(request.secondName === undefined ? {} : { secondName: request.secondName }),
    ...(request.encodedName === undefined ? {} : { encodedName: request.encodedName }),
    ...(request.pinBlock === undefined ? {} : { pinBlock: request.pinBlock }),
    cvv2: String(randomInt(1000)).padStart(3, '0'),
  };
}

/** Tells two requests apart without keeping what they say. Keyed, because names are easy to guess. */
export function digestOf(request: CardRequest, key: Uint8Array): string {
  const masked = { ...request, ...(request.pan === undefined ? {} : { pan: maskPan(request.pan) }) };
  const canonical = Object.entries(masked).sort(([one], [other]) => (one < other ? -1 : 1));
  return createHmac('sha256', key).update(JSON.stringify(canonical)).digest('base64url');
}
