/** ISO/IEC 9797-1 padding method 2, seen from the receiving side: wrong padding is a verdict, not an error. */
import { EmvError, unpad80 } from '@cardwright/emv';

/** The bytes without their 80 00.. padding, or undefined when there is none. */
export function withoutPadding80(bytes: Uint8Array): Uint8Array | undefined {
  try {
    return unpad80(bytes);
  } catch (error) {
    if (error instanceof EmvError) return undefined;
    throw error;
  }
}
