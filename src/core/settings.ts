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
  /** Means something only where the run trains an adapter. */
  loraOnly?: boolean;
}
