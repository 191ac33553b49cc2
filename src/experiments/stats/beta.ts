// Logarithm of the beta function, for mixtures over binomial probabilities.

/** Stirling's series of log Gamma, exact to 1e-15 relative from 12 on; below, the recurrence Gamma(x) = Gamma(x + n) / (x ... (x + n - 1)). */
const BERNOULLI = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360];
const LARGE = 12;

/** Natural logarithm of the gamma function, for x > 0 (Abramowitz & Stegun 6.1.41). */
export function logGamma(x: number): number {
  let shift = 0;
  let large = x;
  for (; large < LARGE; large++) shift += Math.log(large);
  const series = BERNOULLI.reduce((sum, coefficient, k) => sum + coefficient / large ** (2 * k + 1), 0);
  return (large - 0.5) * Math.log(large) - large + 0.5 * Math.log(2 * Math.PI) + series - shift;
}

/** Natural logarithm of the beta function, for a, b > 0. */
export const logBeta = (a: number, b: number): number => logGamma(a) + logGamma(b) - logGamma(a + b);
