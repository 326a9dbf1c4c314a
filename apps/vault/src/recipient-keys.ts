/**
 * The keys that issuers encrypt to, in all versions: found by the `kid` of a message, published while active.
 *
 * Invariant: a kid opens messages of its own issuer only.
 */
import { type KeyHandle, type KeyPort, type KeyStore } from '@cardwright/keys';
import { type VaultPublicKeys } from '@cardwright/protocol';
import { openKeyFamily } from './key-family.ts';

/** Family of the keys that an issuer encrypts to. */
export const recipientFamily = (issuerId: string): string => `jwe/${issuerId}`;

type PublicJwk = Awaited<ReturnType<KeyPort['ecPublicJwk']>>;

interface RecipientKey {
  readonly issuerId: string;
  readonly handle: KeyHandle;
  readonly jwk: PublicJwk;
  readonly isActive: boolean;
}

export class RecipientKeys {
  readonly #keys: readonly RecipientKey[];

  private constructor(keys: readonly RecipientKey[]) {
    this.#keys = keys;
  }

  /** @throws KeyError KEY_NOT_FOUND when an issuer has no active key */
  static async open(keys: KeyStore, issuerIds: readonly string[]): Promise<RecipientKeys> {
    const found: RecipientKey[] = [];
    for (const issuerId of issuerIds) {
      const { kept, active } = await openKeyFamily(keys, recipientFamily(issuerId));
      for (const handle of kept) {
        const jwk = await keys.ecPublicJwk(handle);
        found.push({ issuerId, handle, jwk, isActive: active.includes(handle) });
      }
    }
    return new RecipientKeys(found);
  }

  find(issuerId: string, kid: string | undefined): KeyHandle | undefined {
    return this.#keys.find((key) => key.issuerId === issuerId && key.jwk.kid === kid)?.handle;
  }

  /** Newest first for each issuer: the first is what to encrypt to. */
  published(): VaultPublicKeys['recipientKeys'] {
    return this.#keys.filter(({ isActive }) => isActive).map(({ issuerId, jwk }) => ({ issuerId, jwk }));
  }
}

/** The `kid` that a compact JWE names; undefined when it names none. It is judged where the JWE is opened. */
export function kidOf(jwe: string): string | undefined {
  const [header = ''] = jwe.slice(0, 8192).split('.', 1);
  try {
    const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString('utf8')) as { kid?: unknown };
    return typeof kid === 'string' ? kid : undefined;
  } catch {
    return undefined;
  }
}
