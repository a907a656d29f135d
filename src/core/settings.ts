/** A recipe's settings: the same for the form that asks for them, the run that has them and the node that keeps them. */
export type SettingValue = number | boolean | string;
export type Settings = Record<string, SettingValue>;

/** One setting as a form can offer it. */
export interface SettingField {
  key: string;
  type: 'number' | 'boolean' | 'choice';
  default: SettingValue;
  min?: number;
  max?: number;
  step?: number;
  choices?: readonly string[];
  /** Shown at once (false: behind 'more'). */
  main: boolean;
  /** The default where the run trains an adapter instead of all weights. */
  loraDefault?: SettingValue;
  /** The default where another setting has this value; `loraDefault` goes before it. */
  beside?: { key: string; is: SettingValue; default: SettingValue };
  /** Means something only where the run trains an adapter. */
  loraOnly?: boolean;
}

/** Whether a run trains an adapter: as was chosen, else as the fields' own default says. */
const adapts = (fields: readonly SettingField[], own: Settings): boolean =>
  (own.method ?? fields.find((f) => f.key === 'method')?.default) === 'lora';

/** The fields that mean something beside the settings chosen so far. */
export function askedFields(fields: readonly SettingField[], own: Settings): SettingField[] {
  return fields.filter((f) => !f.loraOnly || adapts(fields, own));
}

/** Every field's default beside the settings chosen so far: an adapter, or a variant, has defaults of its own. */
export function defaultsOf(fields: readonly SettingField[], own: Settings): Settings {
  const adapter = adapts(fields, own);
  const chosen = (key: string): SettingValue | undefined =>
    own[key] ?? fields.find((f) => f.key === key)?.default;
  const of = ({ beside, loraDefault, ...f }: SettingField): SettingValue => {
    if (adapter && loraDefault !== undefined) return loraDefault;
    return beside && chosen(beside.key) === beside.is ? beside.default : f.default;
  };
  return Object.fromEntries(fields.map((f) => [f.key, of(f)]));
}
