/*** memory ***/
/* Where the constants are. On an AVR they stay in flash, and are read by the functions of avr/pgmspace.h. Elsewhere
   they are plain constants. Define NET_PROGMEM and the three others before this to do it in another way. */
#if defined(__AVR__) && !defined(NET_PROGMEM)
#include <avr/pgmspace.h>
#define NET_PROGMEM PROGMEM
#define NET_FLOAT(pointer) pgm_read_float(pointer)
#define NET_INT8(pointer) ((int8_t)pgm_read_byte(pointer))
#define NET_UINT8(pointer) ((uint8_t)pgm_read_byte(pointer))
#endif
#ifndef NET_PROGMEM
#define NET_PROGMEM
#endif
#ifndef NET_FLOAT
#define NET_FLOAT(pointer) (*(pointer))
#endif
#ifndef NET_INT8
#define NET_INT8(pointer) (*(pointer))
#endif
#ifndef NET_UINT8
#define NET_UINT8(pointer) (*(pointer))
#endif

/*** rectify ***/
/* ReLU and its kind: what is negative is multiplied by the slope. The slope is 0 for ReLU. In place. */
static void net_rectify(float *x, int32_t rows, int32_t row, int32_t count, float slope)
{
    int32_t i, k;
    for (i = 0; i < rows; i++)
        for (k = 0; k < count; k++)
            if (x[i * row + k] < 0)
                x[i * row + k] *= slope;
}

/*** tanh ***/
/* The hyperbolic tangent of each number, (1 - e) / (1 + e) with e = exp(-2 x). It is faster than tanhf, and e cannot
   overflow, since it is computed for the absolute value of x. In place. */
static void net_tanh(float *x, int32_t rows, int32_t row, int32_t count)
{
    int32_t i, k;
    for (i = 0; i < rows; i++)
        for (k = 0; k < count; k++) {
            const float value = x[i * row + k], e = expf(value < 0 ? 2 * value : -2 * value);
            x[i * row + k] = (value < 0 ? e - 1 : 1 - e) / (1 + e);
        }
}

/*** sigmoid ***/
/* 1 / (1 + exp(-x)) of each number. In place. */
static void net_sigmoid(float *x, int32_t rows, int32_t row, int32_t count)
{
    int32_t i, k;
    for (i = 0; i < rows; i++)
        for (k = 0; k < count; k++)
            x[i * row + k] = 1.0f / (1.0f + expf(-x[i * row + k]));
}

/*** scale_shift ***/
/* Batch normalization after the training: channel c becomes x * scale[c] + shift[c]. In place. */
static void net_scale_shift(float *x, int32_t rows, int32_t row, int32_t count,
                            const float *scale, const float *shift, int32_t channels)
{
    int32_t i, k, c;
    for (i = 0; i < rows; i++)
        for (k = 0; k < count; k += channels)
            for (c = 0; c < channels; c++)
                x[i * row + k + c] = x[i * row + k + c] * NET_FLOAT(scale + c) + NET_FLOAT(shift + c);
}

/*** answers ***/
/* Returns the class with the largest logit. */
static int net_largest(const float *logits)
{
    int k, largest = 0;
    for (k = 1; k < NET_CLASSES; k++)
        if (logits[k] > logits[largest])
            largest = k;
    return largest;
}

void net_softmax(float *logits)
{
    const float largest = logits[net_largest(logits)];
    float sum = 0;
    int k;
    for (k = 0; k < NET_CLASSES; k++) {
        logits[k] = expf((logits[k] - largest) / @temperature@);
        sum += logits[k];
    }
    for (k = 0; k < NET_CLASSES; k++)
        logits[k] /= sum;
}

/*** answer ***/
int net_answer(const float *logits)
{
    return net_largest(logits);
}

/*** answer_or_unknown ***/
int net_answer(const float *logits)
{
    const int largest = net_largest(logits);
    float mean = 0;
    int k;
    for (k = 0; k < NET_CLASSES; k++)
        mean += logits[k] / NET_CLASSES;
    /* In the validation images of the training a logit rarely stands out as little as this. */
    return logits[largest] - mean < @threshold@ ? -1 : largest;
}
