/**
 * Strict JSON (RFC 8259): duplicate members, comments, trailing commas and deep nesting are refused, because
 * two readers of one ambiguous message could each make a different card of it.
 */
import { type ParseErrorCode, visit } from 'jsonc-parser';

export type StrictJson =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly problem: 'syntax' | 'duplicate' | 'depth'; readonly field: string };

export const maxJsonDepth = 16;

/** Parses JSON text. On refusal `field` is the dotted name of the duplicate member, else empty. */
export function parseStrictJson(text: string): StrictJson {
  const members: Set<string>[] = [];
  let depth = 0;
  let refusal: Extract<StrictJson, { ok: false }> | undefined;
  const refuse = (problem: 'syntax' | 'duplicate' | 'depth', field = ''): void => {
    refusal ??= { ok: false, problem, field };
  };
  const open = (): void => {
    depth += 1;
    if (depth > maxJsonDepth) refuse('depth');
  };
  visit(
    text,
    {
      onObjectBegin: () => {
        members.push(new Set());
        open();
      },
      onObjectEnd: () => {
        members.pop();
        depth -= 1;
      },
      onArrayBegin: open,
      onArrayEnd: () => {
        depth -= 1;
      },
      onObjectProperty: (name, _offset, _length, _line, _character, pathSupplier) => {
        const seen = members.at(-1);
        if (seen?.has(name) === true || name === '__proto__') {
          refuse('duplicate', dotted([...pathSupplier(), name]));
        }
        seen?.add(name);
      },
      onComment: () => {
        refuse('syntax');
      },
      onError: (_code: ParseErrorCode) => {
        refuse('syntax');
      },
    },
    { disallowComments: true, allowTrailingComma: false, allowEmptyContent: false },
  );
  if (refusal !== undefined) return refusal;
  try {
    return { ok: true, value: JSON.parse(text) as unknown };
  } catch {
    return { ok: false, problem: 'syntax', field: '' };
  }
}

function dotted(path: readonly (string | number)[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${String(part)}]`;
    return text === '' ? part : `${text}.${part}`;
  }, '');
}
