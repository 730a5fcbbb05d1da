/*** load ***/
/* Copies the bytes of the picture, with a border around them if y has one. */
static void net_load(const uint8_t *pixels, uint8_t *y, int32_t y_row, int32_t rows, int32_t count)
{
    int32_t i, k;
    for (i = 0; i < rows; i++)
        for (k = 0; k < count; k++)
            y[i * y_row + k] = pixels[i * count + k];
}

/*** zeros ***/
/* Fills an array with the byte that stands for zero. The border that is left around an image is the padding of the
   convolution after it. */
static void net_zeros(uint8_t *y, int32_t count, uint8_t zero)
{
    int32_t k;
    for (k = 0; k < count; k++)
        y[k] = zero;
}

/*** to_byte ***/
/* Rounds a number down to a whole one from 0 to 255. Who calls it has added 0.5, so that it rounds to the nearest. */
static uint8_t net_to_byte(float value)
{
    return value <= 0 ? 0 : value >= 255 ? 255 : (uint8_t)value;
}

/*** conv ***/
/* A convolution; a dense layer is one with a single window. For each place and each filter:

       sum = sum of weight * (x - zero) over the window, as whole numbers
       y   = sum * scale + bias, and what is negative is multiplied by the slope: 0 for ReLU, 1 for no activation

   `scale` and `bias` hold what a step of x, of this filter's weights and of y is worth. `offset` is the byte that
   stands for zero in y, plus 0.5. The padding is already around x. Weights are [filter][row][column][channel]. What a
   window sees is copied to net_window once for all filters. */
static void net_conv(const uint8_t *x, int32_t x_row, int16_t zero, uint8_t *y, int32_t y_row, float offset,
                     const int8_t *weight, const float *scale, const float *bias,
                     int32_t height, int32_t width, int32_t filters,
                     int32_t window_height, int32_t window_width, int32_t channels,
                     int32_t stride_down, int32_t stride_right, float slope)
{
    const int32_t count = window_width * channels, size = window_height * count;
    int32_t a, b, f, i, k;
    for (a = 0; a < height; a++)
        for (b = 0; b < width; b++) {
            for (i = 0; i < window_height; i++) {
                const uint8_t *pixel = x + (a * stride_down + i) * x_row + b * stride_right * channels;
                for (k = 0; k < count; k++)
                    net_window[i * count + k] = (int16_t)(pixel[k] - zero);
            }
            for (f = 0; f < filters; f++) {
                const int8_t *w = weight + f * size;
                int32_t sum = 0;
                float value;
                for (k = 0; k < size; k++)
                    sum += (int32_t)NET_INT8(w + k) * net_window[k];
                value = (float)sum * NET_FLOAT(scale + f) + NET_FLOAT(bias + f);
                y[a * y_row + b * filters + f] = net_to_byte((value > 0 ? value : slope * value) + offset);
            }
        }
}

/*** dense_logits ***/
/* The last dense layer: as a convolution with a single window, but its results stay numbers. */
static void net_dense_logits(const uint8_t *x, int16_t zero, float *logits,
                             const int8_t *weight, const float *scale, const float *bias,
                             int32_t inputs, int32_t outputs, float slope)
{
    int32_t f, k;
    for (f = 0; f < outputs; f++) {
        int32_t sum = 0;
        float value;
        for (k = 0; k < inputs; k++)
            sum += (int32_t)NET_INT8(weight + f * inputs + k) * (int16_t)(x[k] - zero);
        value = (float)sum * NET_FLOAT(scale + f) + NET_FLOAT(bias + f);
        logits[f] = value > 0 ? value : slope * value;
    }
}

/*** maxpool ***/
/* The largest byte of each window of each channel. The window may reach over the edge of the image by `top` rows and
   `left` columns; nothing is there. */
static void net_maxpool(const uint8_t *x, int32_t x_height, int32_t x_width, uint8_t *y, int32_t y_row,
                        int32_t height, int32_t width, int32_t channels,
                        int32_t window_height, int32_t window_width, int32_t stride_down, int32_t stride_right,
                        int32_t top, int32_t left)
{
    int32_t a, b, c, i, j;
    for (a = 0; a < height; a++)
        for (b = 0; b < width; b++) {
            const int32_t row = a * stride_down - top, column = b * stride_right - left;
            uint8_t *result = y + a * y_row + b * channels;
            for (c = 0; c < channels; c++)
                result[c] = 0;
            for (i = row < 0 ? -row : 0; i < window_height && row + i < x_height; i++)
                for (j = column < 0 ? -column : 0; j < window_width && column + j < x_width; j++) {
                    const uint8_t *pixel = x + ((row + i) * x_width + column + j) * channels;
                    for (c = 0; c < channels; c++)
                        if (pixel[c] > result[c])
                            result[c] = pixel[c];
                }
        }
}

/*** window_sum ***/
/* The sum of x - zero over the part of a window that lies in the image, for one channel. */
static int32_t net_window_sum(const uint8_t *x, int32_t x_height, int32_t x_width, int16_t zero, int32_t channels,
                              int32_t row, int32_t column, int32_t window_height, int32_t window_width)
{
    int32_t i, j, sum = 0;
    for (i = row < 0 ? -row : 0; i < window_height && row + i < x_height; i++)
        for (j = column < 0 ? -column : 0; j < window_width && column + j < x_width; j++)
            sum += (int16_t)(x[((row + i) * x_width + column + j) * channels] - zero);
    return sum;
}

/*** meanpool ***/
/* The mean of each window of each channel. Where the window reaches over the edge of the image there are zeros, and
   they count. `scale` divides by the size of the window, too. */
static void net_meanpool(const uint8_t *x, int32_t x_height, int32_t x_width, int16_t zero,
                         uint8_t *y, int32_t y_row, float offset, float scale, float bias,
                         int32_t height, int32_t width, int32_t channels,
                         int32_t window_height, int32_t window_width, int32_t stride_down, int32_t stride_right,
                         int32_t top, int32_t left)
{
    int32_t a, b, c;
    for (a = 0; a < height; a++)
        for (b = 0; b < width; b++)
            for (c = 0; c < channels; c++) {
                const int32_t sum = net_window_sum(x + c, x_height, x_width, zero, channels, a * stride_down - top,
                                                   b * stride_right - left, window_height, window_width);
                y[a * y_row + b * channels + c] = net_to_byte((float)sum * scale + bias + offset);
            }
}

/*** mean_logits ***/
/* The mean of each channel, as numbers. */
static void net_mean_logits(const uint8_t *x, int32_t height, int32_t width, int16_t zero, float *logits,
                            float scale, float bias, int32_t channels)
{
    int32_t c;
    for (c = 0; c < channels; c++)
        logits[c] = (float)net_window_sum(x + c, height, width, zero, channels, 0, 0, height, width) * scale + bias;
}

/*** table ***/
/* An activation: each byte is replaced by that in the table. In place. */
static void net_table(uint8_t *x, int32_t rows, int32_t row, int32_t count, const uint8_t *table)
{
    int32_t i, k;
    for (i = 0; i < rows; i++)
        for (k = 0; k < count; k++)
            x[i * row + k] = NET_UINT8(table + x[i * row + k]);
}

/*** scale_shift_bytes ***/
/* Batch normalization after the training: channel c becomes (x - zero) * scale[c] + shift[c]. In place. */
static void net_scale_shift_bytes(uint8_t *x, int32_t rows, int32_t row, int32_t count, int16_t zero, float offset,
                                  const float *scale, const float *shift, int32_t channels)
{
    int32_t i, k, c;
    for (i = 0; i < rows; i++)
        for (k = 0; k < count; k += channels)
            for (c = 0; c < channels; c++) {
                uint8_t *byte = x + i * row + k + c;
                *byte = net_to_byte((float)(int16_t)(*byte - zero) * NET_FLOAT(scale + c) + NET_FLOAT(shift + c)
                                    + offset);
            }
}

/*** store ***/
/* Turns an image of bytes into the logits, one channel after the other. */
static void net_store(const uint8_t *x, int16_t zero, float *logits, float scale, float rest,
                      int32_t pixels, int32_t channels)
{
    int32_t p, c;
    for (c = 0; c < channels; c++)
        for (p = 0; p < pixels; p++)
            logits[c * pixels + p] = (float)(int16_t)(x[p * channels + c] - zero) * scale + rest;
}
