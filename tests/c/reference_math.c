#include "reference_math.h"

#include <stdint.h>

#define LN2_HIGH 0x1.62e42fefap-1 /* ln 2 = high + low; k * high is exact for |k| < 2^17 */
#define LN2_LOW 0x1.cf79abc9e3b3ap-40

/* The sum of r^i / i! from i = first in steps of step, for |r| <= 1. */
static double factorial_series(double r, int first, int step)
{
    double term = first == 0 ? 1 : r, sum = 0;
    for (int i = first; i < 24; i += step) {
        sum += term;
        for (int j = 1; j <= step; j++) term *= r / (i + j);
    }
    return sum;
}

static double scale(double x, int k)
{
    for (; k > 0; k--) x *= 2;
    for (; k < 0; k++) x /= 2;
    return x;
}

double reference_exp(double x)
{
    int k = (int)(x < -200 ? -290 : x > 200 ? 290 : x / 0.6931471805599453);
    if (x < -200 || x > 200) return scale(1, k);
    return scale(factorial_series((x - k * LN2_HIGH) - k * LN2_LOW, 0, 1), k);
}

double reference_log(double x)
{
    int k = 0;
    double t, power, sum = 0;
    for (; x > 1.5; k++) x /= 2;
    for (; x < 0.75; k--) x *= 2;
    t = (x - 1) / (x + 1); /* log x = 2 (t + t^3 / 3 + ...), |t| <= 1/5 */
    power = t;
    for (int i = 1; i < 30; i += 2, power *= t * t) sum += power / i;
    return (k * LN2_HIGH + 2 * sum) + k * LN2_LOW;
}

double reference_tanh(double x)
{
    if (x > 20 || x < -20) return x > 0 ? 1 : -1;
    if (x > 1 || x < -1) return 1 - 2 / (reference_exp(2 * x) + 1);
    return factorial_series(x, 1, 2) / factorial_series(x, 0, 2); /* sinh / cosh */
}

/* sum of 2^i x^(2i+1) / (1 * 3 * ... * (2i+1)): all terms of one sign */
double reference_erf(double x)
{
    double term = x, sum = 0;
    if (x > 6 || x < -6) return x > 0 ? 1 : -1;
    for (int i = 0; i < 150; i++) {
        sum += term;
        term *= 2 * x * x / (2 * i + 3);
    }
    return 1.1283791670955125739 * sum * reference_exp(-x * x);
}

/* Taylor series of the sine or cosine of pi x, |x| <= 1/4, from its first term on. */
static double pi_series(double x, double term, int next)
{
    const double pi = 3.14159265358979323846;
    double sum = term;
    for (; next < 30; next += 2) {
        term = -term * (pi * x) * (pi * x) / (next * (next + 1));
        sum += term;
    }
    return sum;
}

double reference_cospi(double x)
{
    double rest = x < 0 ? -x : x, sign = 1;
    rest -= 2 * (double)(int64_t)(rest / 2);
    if (rest > 1) rest = 2 - rest; /* even around 1 */
    if (rest > 0.5) {
        rest = 1 - rest;
        sign = -1;
    }
    return sign * (rest <= 0.25 ? pi_series(rest, 1, 1) : pi_series(0.5 - rest, 3.14159265358979323846 * (0.5 - rest), 2));
}
