/**
 * A D1 client as an integrator would write it from the documentation, on Node alone. Nothing of this repository is in
 * it, so that a misunderstanding cannot sit on both sides of the wire.
 */
import { randomUUID } from 'node:crypto';
import { type Agent, type RequestOptions, request as httpsRequest } from 'node:https';
import { encryptJwe, type RecipientJwk, signJwt } from './jose-by-hand.ts';

export type Json = Record<string, unknown>;

/** What an issuer is given, and has made itself, at onboarding. */
export interface Onboarding {
  readonly origin: string;
  readonly issuerId: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly kid: string;
  readonly signingKeyPem: string;
  readonly recipientJwk: RecipientJwk;
}

export interface Call {
  readonly method?: string;
  readonly path: string;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is; the content type comes from `headers`. */
  readonly text?: string | Buffer;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The body as JSON object; empty when it is none. */
  readonly body: Json;
}

function objectOf(text: string): Json {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === 'object' && value !== null ? (value as Json) : {};
  } catch {
    return {};
  }
}

/** One HTTPS request; `tls` chooses certificates. */
export function send(origin: string, tls: RequestOptions, call: Call): Promise<Answer> {
  const body = call.json === undefined ? call.text : JSON.stringify(call.json);
  const headers = {
    ...(call.json === undefined ? {} : { 'content-type': 'application/json' }),
    ...(call.token === undefined ? {} : { authorization: `Bearer ${call.token}` }),
    ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
    ...call.headers,
  };
  const options = { ...tls, method: call.method ?? (body === undefined ? 'GET' : 'POST'), headers };
  return new Promise((resolve, reject) => {
    const request = httpsRequest(new URL(call.path, origin), options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        const { statusCode = 0, headers: received } = response;
        resolve({ status: statusCode, headers: received, text, body: objectOf(text) });
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}

export const grantType = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
export const tokenPath = '/authz/v1/oauth2/token';

export const cardPath = (issuerId: string, cardId: string): string =>
  `/banking/v1/issuers/${issuerId}/physicalCards/${cardId}`;

/** The assertion of 6.1; claims and header may be changed, `undefined` leaves a member out. */
export function signAssertion(issuer: Onboarding, claims: Json = {}, header: Json = {}): string {
  const now = Math.floor(Date.now() / 1000);
  const { issuerId, kid, signingKeyPem } = issuer;
  return signJwt(
    { alg: 'ES256', typ: 'JWT', kid, ...header },
    { iss: issuerId, sub: issuerId, iat: now, exp: now + 300, ...claims },
    signingKeyPem,
  );
}

/** Card data as JWE (chapter 8). A string is encrypted as it is. */
export function encrypt(recipient: RecipientJwk, card: unknown, header: Json = {}): string {
  return encryptJwe(recipient, typeof card === 'string' ? card : JSON.stringify(card), header);
}

/** A Luhn-valid number of the sandbox's test range. */
export function makePan(): string {
  const digits = `999900${String(Math.floor(Math.random() * 1e9)).padStart(9, '0')}`;
  const sum = [...digits].reduce((total, digit, at) => {
    const doubled = Number(digit) * (at % 2 === 0 ? 2 : 1);
    return total + (doubled > 9 ? doubled - 9 : doubled);
  }, 0);
  return digits + String((10 - (sum % 10)) % 10);
}

/** The plaintext of 3.9 with a fresh number. */
export const cardData = (): Json => ({
  pan: makePan(),
  exp: '3012',
  name: 'A SAMPLE',
  encodedName: 'SAMPLE/A',
  cvv2: '123',
  panSequenceNumber: '00',
});

export const newCardId = (): string => `card_${randomUUID()}`;
export const newRequestId = (): string => `req-${randomUUID()}`;

export interface D1Client {
  readonly issuer: Onboarding;
  call(call: Call): Promise<Answer>;
  /** A fresh token. @throws when none is given */
  fetchToken(scope?: string): Promise<string>;
  /** The order of 3.9 with fresh card data; members may be changed, `undefined` leaves one out. */
  orderBody(changes?: Json): Json;
  order(cardId: string, body: unknown, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  status(cardId: string): Promise<Answer>;
  close(): void;
}

/** A client that reuses its token, as the documentation asks. */
export function createD1Client(issuer: Onboarding, agent: Agent): D1Client {
  const tls = { agent, ca: issuer.ca, cert: issuer.cert, key: issuer.key };
  const call = (one: Call): Promise<Answer> => send(issuer.origin, tls, one);
  let token: Promise<string> | undefined;
  const fetchToken = async (scope?: string): Promise<string> => {
    const form = new URLSearchParams({ grant_type: grantType, assertion: signAssertion(issuer) });
    if (scope !== undefined) form.set('scope', scope);
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const answer = await call({ path: tokenPath, text: form.toString(), headers });
    if (answer.status !== 200) throw new Error(`no token: ${answer.text}`);
    return String(answer.body['access_token']);
  };
  const currentToken = (): Promise<string> => (token ??= fetchToken());
  return {
    issuer,
    call,
    fetchToken,
    orderBody: (changes = {}) => ({
      distributionChannel: 'INSTANT',
      persoStation: 'KIOSK-PS-101',
      cardProductId: 'DEBIT_STD',
      consumerId: 'cons-0042',
      issuerRequestId: newRequestId(),
      services: { issuance: 'CREATION' },
      paymentApplication: {
        config: 'CCD_3DES_01',
        odaKeyIndex: '01',
        derivationKeyIndex: '01',
        cvKeyIndex: '01',
      },
      cardDesign: { customLines: ['DEBIT'], memberId: 'M123456' },
      encryptedData: encrypt(issuer.recipientJwk, cardData()),
      ...changes,
    }),
    order: async (cardId, body, headers = {}) =>
      call({
        method: 'POST',
        path: `${cardPath(issuer.issuerId, cardId)}/operations:production`,
        token: await currentToken(),
        headers: { 'content-type': 'application/json', ...headers },
        text: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    status: async (cardId) =>
      call({
        path: `${cardPath(issuer.issuerId, cardId)}/productionStatus`,
        token: await currentToken(),
      }),
    close: () => {
      agent.destroy();
    },
  };
}
