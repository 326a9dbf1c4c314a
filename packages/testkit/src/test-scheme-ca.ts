/**
 * A payment system's CA for tests: checks issuer key requests and certifies them, and, when asked, certifies wrongly.
 *
 * Invariant: its keys live in memory only and are made at run time; nothing it signs is trusted outside tests.
 */
import { constants, generateKeyPairSync, type KeyObject, privateEncrypt } from 'node:crypto';
import {
  capkHash,
  hex,
  issuerCertificateBlock,
  type RsaPublicKeyBytes,
  unhex,
  verifyIssuerKeyRequest,
} from '@cardwright/emv';

interface Request {
  readonly rid: string;
  readonly caIndex: string;
  readonly issuerNumber: string;
  readonly expires: string;
  readonly trackingNumber: string;
  readonly modulus: string;
  readonly exponent: string;
  readonly selfSignature: string;
}

/** What a negative test changes on the way. */
export interface SchemeCaMistakes {
  readonly issuerNumber?: string;
  /** MMYY */
  readonly expiryMMYY?: string;
  readonly issuerKey?: RsaPublicKeyBytes;
  /** The finished block, before it is signed. */
  readonly block?: (block: Uint8Array) => Uint8Array;
}

interface Response {
  readonly format: 'cardwright-issuer-certificate/1';
  readonly rid: string;
  readonly caIndex: string;
  readonly trackingNumber: string;
  readonly certificate: string;
  readonly remainder: string;
  readonly exponent: string;
}

export class TestSchemeCa {
  readonly #privateKey: KeyObject;
  readonly #key: RsaPublicKeyBytes;
  readonly #names: { readonly rid: string; readonly index: string; readonly expires: string };

  constructor(
    bits: number,
    names: { readonly rid: string; readonly index: string; readonly expires: string },
  ) {
    const pair = generateKeyPairSync('rsa', { modulusLength: bits, publicExponent: 3 });
    const { n = '' } = pair.publicKey.export({ format: 'jwk' });
    this.#privateKey = pair.privateKey;
    this.#key = { modulus: Uint8Array.from(Buffer.from(n, 'base64url')), exponent: Uint8Array.of(3) };
    this.#names = names;
  }

  /** As terminals and issuers are given it. `expires` is YYMM. */
  publicKey(): {
    rid: string;
    index: string;
    modulus: string;
    exponent: string;
    sha1: string;
    expires: string;
  } {
    const { modulus, exponent } = this.#key;
    const sha1 = hex(capkHash(unhex(this.#names.rid), Number.parseInt(this.#names.index, 16), this.#key));
    return { ...this.#names, modulus: hex(modulus), exponent: hex(exponent), sha1 };
  }

  /** @throws Error naming what is wrong with the request */
  certify(request: Request, mistakes: SchemeCaMistakes = {}): Response {
    const issuerKey = { modulus: unhex(request.modulus), exponent: unhex(request.exponent) };
    const verdict = verifyIssuerKeyRequest(issuerKey, unhex(request.selfSignature));
    if (!verdict.ok) throw new Error(`the request is refused: ${verdict.reason}`);
    const { fields } = verdict;
    const isWhatItSays =
      fields.iin === request.issuerNumber &&
      fields.expiryMMYY === request.expires.slice(2) + request.expires.slice(0, 2) &&
      hex(fields.trackingNumber) === request.trackingNumber &&
      hex(fields.rid) === this.#names.rid &&
      fields.caIndex === Number.parseInt(this.#names.index, 16);
    if (!isWhatItSays) throw new Error('the request is refused: OTHER_FIELDS');
    const certified = mistakes.issuerKey ?? issuerKey;
    const { block, remainder } = issuerCertificateBlock({
      caModulusLength: this.#key.modulus.length,
      issuerKey: certified,
      iin: mistakes.issuerNumber ?? fields.iin,
      expiryMMYY: mistakes.expiryMMYY ?? fields.expiryMMYY,
      serial: fields.trackingNumber,
    });
    const options = { key: this.#privateKey, padding: constants.RSA_NO_PADDING };
    return {
      format: 'cardwright-issuer-certificate/1',
      rid: this.#names.rid,
      caIndex: this.#names.index,
      trackingNumber: request.trackingNumber,
      certificate: hex(privateEncrypt(options, mistakes.block?.(block) ?? block)),
      remainder: hex(remainder),
      exponent: hex(certified.exponent),
    };
  }
}
