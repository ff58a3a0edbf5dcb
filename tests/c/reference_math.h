/* Elementary functions in double, written from their series, so that the tests need no libm. Good to about 1e-14. */
#ifndef REFERENCE_MATH_H
#define REFERENCE_MATH_H

double reference_exp(double x);  /* finite x; 0 or infinity where the result is far outside float's range */
double reference_log(double x);  /* finite x > 0 */
double reference_tanh(double x); /* finite x */
double reference_erf(double x);  /* finite x */
double reference_cospi(double x); /* |x| < 2^40 */

#endif
