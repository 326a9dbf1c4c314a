/**
 * Reads the `Authorization: Basic` header with which the API asks for a token at the issuer. Both base64
 * alphabets are read, padded or not: the vendor's text names one and its example shows the other (trap 18).
 */

export interface BasicCredentials {
  readonly clientId: string;
  readonly clientSecret: string;
}

/** The credentials in the header, or undefined when there are none that can be read. */
export function readBasicCredentials(header: string | undefined): BasicCredentials | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/_-]+={0,2})$/i.exec(header ?? '')?.[1];
  if (encoded === undefined) return undefined;
  // Node's base64 decoder takes both alphabets and does not ask for padding.
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon === -1) return undefined;
  return { clientId: text.slice(0, colon), clientSecret: text.slice(colon + 1) };
}
