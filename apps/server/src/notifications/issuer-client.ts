/**
 * The way to one issuer: mutual TLS, and a bearer token of its own authorization server when it has one
 * (d1-api contract, 6.2 and OD-6.9).
 *
 * Invariants: the token is renewed a minute early and refreshed once on 401; redirects are not followed; an answer's
 * body is never kept or logged.
 */
import { readFileSync } from 'node:fs';
import { check, notificationPath, OutboundTokenAnswer } from '@cardwright/protocol';
import { type ClientAnswer, type Clock, createMtlsClient, newId, Sensitive } from '@cardwright/runtime';
import { type NotificationTarget, type OutboundOauthConfig } from '../config.ts';

/** What came of one delivery attempt. */
export type DeliveryAnswer =
  | { readonly answer: 'status'; readonly httpStatus: number; readonly retryAfterMs?: number }
  /** No answer: `reason` is a code for logs, never a text of the other side. */
  | { readonly answer: 'none'; readonly reason: string };

export interface IssuerClient {
  /** Sends one notification body (JSON text). Never throws. */
  deliver(issuerId: string, body: string): Promise<DeliveryAnswer>;
  close(): Promise<void>;
}

const attemptLimitMs = 15_000;
const defaultTokenLifeMs = 900_000;
const renewEarlyMs = 60_000;
const longestRetryAfterMs = 24 * 60 * 60 * 1_000;

/** Reads `Retry-After` in seconds or as a date; undefined when absent or senseless. */
export function retryAfterMs(header: string | string[] | undefined, nowMs: number): number | undefined {
  const text = Array.isArray(header) ? header[0] : header;
  if (text === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(text.trim()) ? Number(text) * 1_000 : Date.parse(text) - nowMs;
  return Number.isFinite(ms) && ms >= 0 ? Math.min(ms, longestRetryAfterMs) : undefined;
}

/** How long a token may be used, from what the issuer's answer says. */
export function tokenLifeMs(answer: OutboundTokenAnswer, nowMs: number): number {
  const seconds = Number(answer.expires_in);
  if (answer.expires_in !== undefined && Number.isFinite(seconds) && seconds > 0) return seconds * 1_000;
  const until = answer.expires_at === undefined ? NaN : Date.parse(answer.expires_at);
  return Number.isFinite(until) && until > nowMs ? until - nowMs : defaultTokenLifeMs;
}

class TokenRefusedError extends Error {
  override readonly name = 'TokenRefusedError';
  readonly code: string;

  constructor(code: string) {
    super('the issuer gave no token');
    this.code = code;
  }
}

interface TokenSource {
  /** The `authorization` header; `renew` asks for a fresh token whatever is kept. */
  header(renew: boolean): Promise<string>;
  close(): Promise<void>;
}

function createTokenSource(
  target: NotificationTarget,
  oauth: OutboundOauthConfig,
  clock: Clock,
): TokenSource {
  const url = new URL(oauth.tokenUrl);
  const client = createMtlsClient({ ...target, origin: url.origin, timeoutMs: attemptLimitMs });
  const secret = new Sensitive(readFileSync(oauth.clientSecretFile, 'utf8').trim());
  let kept: { readonly token: Sensitive<string>; readonly untilMs: number } | undefined;

  const ask = async (): Promise<Sensitive<string>> => {
    const basic = Buffer.from(`${oauth.clientId}:${secret.reveal()}`, 'utf8').toString('base64');
    const answer = await client.request({
      method: 'POST',
      path: url.pathname + url.search,
      form: {
        grant_type: 'client_credentials',
        ...(oauth.scope === undefined ? {} : { scope: oauth.scope }),
      },
      headers: { authorization: `Basic ${basic}`, 'x-correlation-id': newId() },
    });
    if (answer.status !== 200) throw new TokenRefusedError(`TOKEN_STATUS_${String(answer.status)}`);
    const token = readTokenAnswer(answer);
    const lifeMs = tokenLifeMs(token, clock.now());
    kept = { token: new Sensitive(token.access_token), untilMs: clock.now() + lifeMs - renewEarlyMs };
    return kept.token;
  };
  return {
    header: async (renew) => {
      const usable = !renew && kept !== undefined && kept.untilMs > clock.now() ? kept.token : undefined;
      return `Bearer ${(usable ?? (await ask())).reveal()}`;
    },
    close: () => client.close(),
  };
}

function readTokenAnswer(answer: ClientAnswer): OutboundTokenAnswer {
  let body: unknown;
  try {
    body = JSON.parse(answer.body);
  } catch {
    throw new TokenRefusedError('TOKEN_NOT_JSON');
  }
  const checked = check(OutboundTokenAnswer, body);
  if (!checked.ok || !/^bearer$/i.test(checked.value.token_type))
    throw new TokenRefusedError('TOKEN_MALFORMED');
  return checked.value;
}

/** @throws when a certificate or secret file cannot be read */
export function createIssuerClient(target: NotificationTarget, clock: Clock): IssuerClient {
  const client = createMtlsClient({ ...target, timeoutMs: attemptLimitMs });
  const tokens = target.oauth === undefined ? undefined : createTokenSource(target, target.oauth, clock);

  const send = async (issuerId: string, body: string, renew: boolean): Promise<ClientAnswer> => {
    const headers = {
      'x-correlation-id': newId(),
      ...(tokens === undefined ? {} : { authorization: await tokens.header(renew) }),
    };
    const json: unknown = JSON.parse(body);
    return client.request({ method: 'POST', path: notificationPath(issuerId), json, headers });
  };
  return {
    deliver: async (issuerId, body) => {
      try {
        let answer = await send(issuerId, body, false);
        if (answer.status === 401 && tokens !== undefined) answer = await send(issuerId, body, true);
        const waitMs = retryAfterMs(answer.headers['retry-after'], clock.now());
        return {
          answer: 'status',
          httpStatus: answer.status,
          ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
        };
      } catch (error) {
        const code = (error as { code?: unknown } | null)?.code;
        const name = error instanceof Error ? error.name : 'unknown';
        return { answer: 'none', reason: typeof code === 'string' ? code : name };
      }
    },
    close: async () => {
      await client.close();
      await tokens?.close();
    },
  };
}
