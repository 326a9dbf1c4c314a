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
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, problem: 'syntax', field: '' };
  }
  // The visitor below recurses: thousands of brackets would overflow its stack.
  if (isTooDeep(text)) return { ok: false, problem: 'depth', field: '' };
  const members: Set<string>[] = [];
  let refusal: Extract<StrictJson, { ok: false }> | undefined;
  const refuse = (problem: 'syntax' | 'duplicate', field = ''): void => {
    refusal ??= { ok: false, problem, field };
  };
  visit(
    text,
    {
      onObjectBegin: () => {
        members.push(new Set());
      },
      onObjectEnd: () => {
        members.pop();
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
  return refusal ?? { ok: true, value };
}

/** True when valid JSON text nests deeper than `maxJsonDepth`. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (inString) {
      if (character === '\\') i += 1;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === '{' || character === '[') {
      depth += 1;
      if (depth > maxJsonDepth) return true;
    } else if (character === '}' || character === ']') depth -= 1;
  }
  return false;
}

function dotted(path: readonly (string | number)[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${String(part)}]`;
    return text === '' ? part : `${text}.${part}`;
  }, '');
}
