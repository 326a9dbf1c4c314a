/**
 * Finds the named keys of this system in a token.
 *
 * Invariants: only objects with our label count; a name belongs to one key; a key object that is not sensitive, or
 * that could leave the token and is no key block protection key, is refused, because somebody else made it.
 */
import { type KeyAlgorithm, KeyError, type KeyUsage } from '../key-port.ts';
import { type TokenMaterial } from '../key-ring.ts';
import { CKA } from './cryptoki-constants.ts';
import { needsFirstHalf, readPoint } from './token-key-making.ts';
import { isNamedKeyExtractable, type ObjectLabel, parseLabel } from './token-key-template.ts';
import { type ObjectHandle, type TokenSession } from './token-session.ts';

export interface NamedTokenKey {
  readonly name: string;
  readonly algorithm: KeyAlgorithm;
  readonly usage: KeyUsage;
  readonly material: TokenMaterial;
}

interface LabelledObject {
  readonly label: ObjectLabel;
  readonly object: ObjectHandle;
}

/** All of them, or the one of a name. @throws KeyError KEY_STORE naming the key that is unsound */
export async function findNamedKeys(
  session: TokenSession,
  environment: 'test' | 'production',
  wanted?: string,
): Promise<NamedTokenKey[]> {
  const byName = new Map<string, LabelledObject[]>();
  for (const object of await session.findObjects([[CKA.token, true]])) {
    const label = await readLabel(session, object);
    if (!label || (wanted !== undefined && label.name !== wanted)) continue;
    if (label.environment !== environment) {
      throw new KeyError('KEY_STORE', `key ${label.name} belongs to the ${label.environment} environment`);
    }
    byName.set(label.name, [...(byName.get(label.name) ?? []), { label, object }]);
  }
  const found: NamedTokenKey[] = [];
  for (const [name, objects] of byName) {
    const key = await assembleKey(session, name, objects);
    if (key) found.push(key);
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Destroys a key with its companions, the key itself first: what is left of it is no key. */
export async function removeNamedKey(session: TokenSession, name: string): Promise<void> {
  const companions: ObjectHandle[] = [];
  for (const object of await session.findObjects([[CKA.token, true]])) {
    const label = await readLabel(session, object);
    if (label?.name !== name) continue;
    if (label.role === 'key') await session.destroyObject(object);
    else companions.push(object);
  }
  for (const object of companions) await session.destroyObject(object);
}

async function readLabel(session: TokenSession, object: ObjectHandle): Promise<ObjectLabel | undefined> {
  const [text] = await session.attributes(object, [CKA.label]);
  return text && parseLabel(new TextDecoder().decode(text));
}

/** Undefined for companions whose key was never finished: a start was interrupted. They are destroyed. */
async function assembleKey(
  session: TokenSession,
  name: string,
  objects: readonly LabelledObject[],
): Promise<NamedTokenKey | undefined> {
  const keys = objects.filter(({ label }) => label.role === 'key');
  const [key, ...others] = keys;
  if (!key) {
    for (const { object } of objects) await session.destroyObject(object);
    return undefined;
  }
  if (others.length > 0) throw new KeyError('KEY_STORE', `key ${name} exists more than once in the token`);
  const { algorithm, usage } = key.label;
  const companion = async (role: ObjectLabel['role']): Promise<ObjectHandle> => {
    const [object] = objects.filter(({ label }) => label.role === role && label.usage === usage);
    if (!object) throw new KeyError('KEY_STORE', `key ${name} lacks its ${role}`);
    if (role !== 'public') await requireProtection(session, object.label, object.object);
    return object.object;
  };
  await requireProtection(session, key.label, key.object);
  const material: TokenMaterial = {
    kind: 'token',
    object: key.object,
    ...(needsFirstHalf(algorithm, usage) && { firstHalf: await companion('first-half') }),
    ...(usage === 'SEAL' && { wrapper: await companion('wrapper') }),
    ...(algorithm === 'EC-P256' && { publicPoint: await readPoint(session, await companion('public')) }),
  };
  return { name, algorithm, usage, material };
}

async function requireProtection(
  session: TokenSession,
  { name, usage }: ObjectLabel,
  object: ObjectHandle,
): Promise<void> {
  const [sensitive, extractable] = await session.attributes(object, [CKA.sensitive, CKA.extractable]);
  const mayLeave = isNamedKeyExtractable(usage);
  if (sensitive?.[0] !== 1 || (extractable?.[0] !== 0 && !mayLeave)) {
    throw new KeyError('KEY_STORE', `key ${name} can be read out of the token`);
  }
}
