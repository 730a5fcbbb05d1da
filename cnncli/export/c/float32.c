/*** load ***/
/* Turns the bytes of the picture into the numbers that the network was trained on: pixel * scale + shift. */
static void net_load(const uint8_t *pixels, float *y, int32_t y_row, int32_t rows, int32_t count,
                     float scale, float shift)
{
    int32_t i, k;
    for (i = 0; i < rows; i++)
        for (k = 0; k < count; k++)
            y[i * y_row + k] = pixels[i * count + k] * scale + shift;
}

/*** zeros ***/
/* Fills an array with zeros. The border that is left around an image is the padding of the convolution after it. */
static void net_zeros(float *y, int32_t count)
{
    int32_t k;
    for (k = 0; k < count; k++)
        y[k] = 0;
}

/*** conv ***/
/* Adds to the sums of 16 filters at four places what one row of the window sees there. x0 to x3 are the four places,
   and the weights of the 16 filters are neighbors: a compiler makes vector instructions of the inner loop. */
static void net_add_row(float *sums, const float *x0, const float *x1, const float *x2, const float *x3,
                        const float *weight, int32_t count)
{
    float s0[16], s1[16], s2[16], s3[16];
    int32_t k;
    int f;
    for (f = 0; f < 16; f++) {
        s0[f] = sums[f];
        s1[f] = sums[16 + f];
        s2[f] = sums[32 + f];
        s3[f] = sums[48 + f];
    }
    for (k = 0; k < count; k++) {
        const float v0 = x0[k], v1 = x1[k], v2 = x2[k], v3 = x3[k];
        for (f = 0; f < 16; f++) {
            const float w = NET_FLOAT(weight + k * 16 + f);
            s0[f] += v0 * w;
            s1[f] += v1 * w;
            s2[f] += v2 * w;
            s3[f] += v3 * w;
        }
    }
    for (f = 0; f < 16; f++) {
        sums[f] = s0[f];
        sums[16 + f] = s1[f];
        sums[32 + f] = s2[f];
        sums[48 + f] = s3[f];
    }
}

/* A convolution. For each place and each filter:

       y = bias + sum of weight * x over the window

   and what is negative is multiplied by the slope: 0 for ReLU, 1 for no activation.

   The padding is already around x. Rows of x and y have x_row and y_row numbers, and a pixel has `channels` or
   `filters` of them. Weights are in groups of 16 filters: [group][row][column][channel][16]. */
static void net_conv(const float *x, int32_t x_row, float *y, int32_t y_row, const float *weight, const float *bias,
                     int32_t height, int32_t width, int32_t filters,
                     int32_t window_height, int32_t window_width, int32_t channels,
                     int32_t stride_down, int32_t stride_right, float slope)
{
    const int32_t step = stride_right * channels, count = window_width * channels;
    float sums[4 * 16];
    int32_t a, b, first, i, p, f;
    for (a = 0; a < height; a++)
        for (b = 0; b < width; b += 4) { /* four places of a row together; after its end the last one again */
            const int32_t last = width - 1 - b;
            const float *x0 = x + a * stride_down * x_row + b * step;
            const float *x1 = x0 + (last < 1 ? last : 1) * step;
            const float *x2 = x0 + (last < 2 ? last : 2) * step;
            const float *x3 = x0 + (last < 3 ? last : 3) * step;
            for (first = 0; first < filters; first += 16) {
                for (f = 0; f < 16; f++)
                    sums[f] = sums[16 + f] = sums[32 + f] = sums[48 + f] = NET_FLOAT(bias + first + f);
                for (i = 0; i < window_height; i++)
                    net_add_row(sums, x0 + i * x_row, x1 + i * x_row, x2 + i * x_row, x3 + i * x_row,
                                weight + (first * window_height + i * 16) * count, count);
                for (p = 0; p < 4 && p <= last; p++)
                    for (f = 0; f < 16 && first + f < filters; f++) {
                        const float value = sums[p * 16 + f];
                        y[a * y_row + (b + p) * filters + first + f] = value > 0 ? value : slope * value;
                    }
            }
        }
}

/*** dense ***/
/* A dense layer: each output is bias + sum of weight * x over all inputs. What is negative is multiplied by the slope.
   Four sums for each output do not have to wait for each other. Weights are in groups of 16 outputs:
   [group][input][16]. */
static void net_dense(const float *x, float *y, const float *weight, const float *bias,
                      int32_t inputs, int32_t outputs, float slope)
{
    int32_t first, k;
    int f;
    for (first = 0; first < outputs; first += 16) {
        const float *w = weight + first * inputs;
        float s0[16], s1[16], s2[16], s3[16];
        for (f = 0; f < 16; f++) {
            s0[f] = NET_FLOAT(bias + first + f);
            s1[f] = s2[f] = s3[f] = 0;
        }
        for (k = 0; k + 4 <= inputs; k += 4) {
            const float v0 = x[k], v1 = x[k + 1], v2 = x[k + 2], v3 = x[k + 3];
            for (f = 0; f < 16; f++) {
                s0[f] += v0 * NET_FLOAT(w + k * 16 + f);
                s1[f] += v1 * NET_FLOAT(w + k * 16 + 16 + f);
                s2[f] += v2 * NET_FLOAT(w + k * 16 + 32 + f);
                s3[f] += v3 * NET_FLOAT(w + k * 16 + 48 + f);
            }
        }
        for (k = inputs - inputs % 4; k < inputs; k++)
            for (f = 0; f < 16; f++)
                s0[f] += x[k] * NET_FLOAT(w + k * 16 + f);
        for (f = 0; f < 16 && first + f < outputs; f++) {
            const float value = (s0[f] + s1[f]) + (s2[f] + s3[f]);
            y[first + f] = value > 0 ? value : slope * value;
        }
    }
}

/*** maxpool ***/
/* The largest number of each window of each channel. The window may reach over the edge of the image by `top` rows and
   `left` columns; nothing is there. */
static void net_maxpool(const float *x, int32_t x_height, int32_t x_width, float *y, int32_t y_row,
                        int32_t height, int32_t width, int32_t channels,
                        int32_t window_height, int32_t window_width, int32_t stride_down, int32_t stride_right,
                        int32_t top, int32_t left)
{
    int32_t a, b, c, i, j;
    for (a = 0; a < height; a++)
        for (b = 0; b < width; b++) {
            const int32_t row = a * stride_down - top, column = b * stride_right - left;
            float *result = y + a * y_row + b * channels;
            for (c = 0; c < channels; c++)
                result[c] = -HUGE_VALF;
            for (i = row < 0 ? -row : 0; i < window_height && row + i < x_height; i++)
                for (j = column < 0 ? -column : 0; j < window_width && column + j < x_width; j++) {
                    const float *pixel = x + ((row + i) * x_width + column + j) * channels;
                    for (c = 0; c < channels; c++)
                        result[c] = pixel[c] > result[c] ? pixel[c] : result[c];
                }
        }
}

/*** meanpool ***/
/* The mean of each window of each channel. Where the window reaches over the edge of the image there are zeros, and
   they count. */
static void net_meanpool(const float *x, int32_t x_height, int32_t x_width, float *y, int32_t y_row,
                         int32_t height, int32_t width, int32_t channels,
                         int32_t window_height, int32_t window_width, int32_t stride_down, int32_t stride_right,
                         int32_t top, int32_t left)
{
    int32_t a, b, c, i, j;
    for (a = 0; a < height; a++)
        for (b = 0; b < width; b++) {
            const int32_t row = a * stride_down - top, column = b * stride_right - left;
            float *result = y + a * y_row + b * channels;
            for (c = 0; c < channels; c++)
                result[c] = 0;
            for (i = row < 0 ? -row : 0; i < window_height && row + i < x_height; i++)
                for (j = column < 0 ? -column : 0; j < window_width && column + j < x_width; j++) {
                    const float *pixel = x + ((row + i) * x_width + column + j) * channels;
                    for (c = 0; c < channels; c++)
                        result[c] += pixel[c];
                }
            for (c = 0; c < channels; c++)
                result[c] /= (float)(window_height * window_width);
        }
}

/*** store ***/
/* Copies an image to the logits, one channel after the other. */
static void net_store(const float *x, float *logits, int32_t pixels, int32_t channels)
{
    int32_t p, c;
    for (c = 0; c < channels; c++)
        for (p = 0; p < pixels; p++)
            logits[c * pixels + p] = x[p * channels + c];
}
