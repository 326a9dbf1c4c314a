/**
 * Reading request bodies of the issuer API: strict JSON, and forms for the token endpoint.
 *
 * Invariant: a parser never throws on what a client sent; a body that cannot be read is a value, so that each
 * endpoint refuses it in its own words.
 */
import { parseStrictJson } from '@cardwright/protocol';
import { type FastifyInstance } from 'fastify';

export type ReadBody =
  { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly field: string };

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decode(bytes: Buffer): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Reads strict JSON: one value, no duplicate members, valid UTF-8. */
export function readJsonBody(bytes: Buffer): ReadBody {
  const text = decode(bytes);
  if (text === undefined) return { ok: false, field: '' };
  const parsed = parseStrictJson(text);
  return parsed.ok ? parsed : { ok: false, field: parsed.field };
}

/** Reads a form. A parameter given twice is refused (RFC 6749 3.2). */
export function readFormBody(bytes: Buffer): ReadBody {
  const text = decode(bytes);
  if (text === undefined) return { ok: false, field: '' };
  const members: [string, string][] = [...new URLSearchParams(text)];
  const names = members.map(([name]) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  return twice === undefined ? { ok: true, value: Object.fromEntries(members) } : { ok: false, field: '' };
}

const json = /^application\/json(?:\s*;\s*charset="?utf-8"?)?\s*$/i;
const form = /^application\/x-www-form-urlencoded(?:\s*;\s*charset="?utf-8"?)?\s*$/i;

/** Lets an endpoint group take JSON, and forms when `withForms`. Everything else is 415. */
export function registerBodyParsers(app: FastifyInstance, withForms: boolean): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(json, { parseAs: 'buffer' }, (_request, bytes, done) => {
    done(null, readJsonBody(bytes as Buffer));
  });
  if (!withForms) return;
  app.addContentTypeParser(form, { parseAs: 'buffer' }, (_request, bytes, done) => {
    done(null, readFormBody(bytes as Buffer));
  });
}

/** The body of a request, or "nothing was sent". */
export function bodyOf(request: { readonly body: unknown }): ReadBody {
  return (request.body as ReadBody | undefined) ?? { ok: false, field: '' };
}
