/**
 * Which recipient keys (`kid`) the vault holds for each issuer, so that an order encrypted to an unknown key is
 * refused at once instead of ending as a data exception.
 *
 * Invariant: only a list that the vault gave refuses an order; while the vault cannot be asked, the kid counts as
 * not checkable and preparation decides.
 */
import { type Clock, type Logger } from '@cardwright/runtime';
import { type VaultLink, VaultRefusedError, VaultUnavailableError } from './vault-link.ts';

export type KidVerdict = 'known' | 'unknown' | 'not-checkable';

export interface RecipientKeys {
  verdict(issuerId: string, kid: string): Promise<KidVerdict>;
}

/** A stranger's kid makes us ask the vault again, but not more often than this. */
const refreshPauseMs = 2_000;

export function createRecipientKeys(vault: VaultLink, clock: Clock, logger: Logger): RecipientKeys {
  let known: ReadonlySet<string> | undefined;
  let askedAtMs = -Infinity;
  let asking: Promise<void> | undefined;
  const keyOf = (issuerId: string, kid: string): string => `${issuerId} ${kid}`;

  const refresh = async (): Promise<void> => {
    askedAtMs = clock.now();
    try {
      const { recipientKeys } = await vault.publicKeys();
      known = new Set(recipientKeys.map((key) => keyOf(key.issuerId, key.jwk.kid ?? '')));
    } catch (error) {
      const isVaults = error instanceof VaultUnavailableError || error instanceof VaultRefusedError;
      if (!isVaults) throw error;
      logger.warn('vault.keys-not-read', { reason: 'reason' in error ? error.reason : error.code });
    } finally {
      asking = undefined;
    }
  };

  return {
    verdict: async (issuerId, kid) => {
      if (known?.has(keyOf(issuerId, kid)) === true) return 'known';
      if (asking !== undefined || clock.now() - askedAtMs >= refreshPauseMs) {
        asking ??= refresh();
        await asking;
      }
      if (known === undefined) return 'not-checkable';
      return known.has(keyOf(issuerId, kid)) ? 'known' : 'unknown';
    },
  };
}
