/** `1 file`, `2 files`. */
export const count = (n: number, one: string, many: string): string => `${n} ${n === 1 ? one : many}`;
