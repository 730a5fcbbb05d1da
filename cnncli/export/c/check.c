/* Reads pictures from stdin and writes the logits of each to stdout, to compare them with those of the network. */
#include "@file@.h"

#include <stdio.h>

int main(void)
{
    static uint8_t pixels[NET_PIXELS];
    float logits[NET_CLASSES];
    while (fread(pixels, 1, NET_PIXELS, stdin) == NET_PIXELS) {
        net_logits(pixels, logits);
        if (fwrite(logits, sizeof(float), NET_CLASSES, stdout) != NET_CLASSES)
            return 1;
    }
    return 0;
}
