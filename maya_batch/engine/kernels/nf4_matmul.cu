// Multiplies tokens in int8 by weights in bitsandbytes' nf4, on tensor cores. Compiled at run time, with these names:
//   TILES      tokens, in tiles of 8
//   ROW_WARPS  warps, each with 16 rows of the matrix of weights
//   SPLITS     warps that share rows: each multiplies another unit of the width
//   STAGES     units in shared memory, of which 2 * SPLITS are being loaded or multiplied
//   PAIR       the type of two results: bf16x2 or f16x2
// A unit is 256 numbers of the width: 4 groups of 64, each with a scale a row, and one scale a token.

typedef unsigned char u8;
typedef unsigned int u32;

#ifdef __CUDACC__  // a test compiles the unpacking for a CPU, with its own prmt
#define DEVICE __device__ __forceinline__

DEVICE u32 prmt(u32 low, u32 high, u32 selector) {
  u32 picked;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(picked) : "r"(low), "r"(high), "r"(selector));
  return picked;
}
#endif

// The nf4 numbers 0 to 7 stand for -1 to 0, and 8 to 15 for 0.08 to 1. Both tables hold magnitudes times 127, as bytes.
struct Magnitudes {
  u32 negative[2], positive[2];
};

// Unpack the 4-bit numbers of the lower half of a word, as bytes with a sign. The lowest number is the first byte.
//
// prmt picks a byte by the lower 3 bits of a number. Where the fourth bit is set it copies the picked byte's sign
// instead, which is always 0 here: so each table gives 0 for numbers of the other. No difference of two bytes borrows
// from the next, for 128 is added to each, and taken away by the last operation.
DEVICE u32 unpacked(u32 numbers, const Magnitudes& of) {
  u32 negative = prmt(of.negative[0], of.negative[1], numbers);
  u32 positive = prmt(of.positive[0], of.positive[1], numbers ^ 0x8888u);
  return (positive + 0x80808080u - negative) ^ 0x80808080u;
}

#ifdef __CUDACC__

constexpr int UNIT = 256, TOKENS = TILES * 8, ROWS = ROW_WARPS * 16, THREADS = ROW_WARPS * SPLITS * 32;

// Bytes of a stage.
constexpr int WEIGHTS = ROWS * UNIT / 2, SCALES = ROWS * 16, INPUTS = TOKENS * UNIT, INPUT_SCALES = TOKENS * 4;
constexpr int STAGE = WEIGHTS + SCALES + INPUTS + INPUT_SCALES;

// Sums of int8 products start at these bits, those of the float 1.5 * 2^23: so their bits are always those of a float,
// and nothing has to be converted. A group's sum is below 2^22.
constexpr u32 START = 0x4B400000u;
constexpr float START_VALUE = 12582912.0f;

// What 1 of an unpacked weight stands for, before its scale.
constexpr float LEVEL = 1.0f / 127;

DEVICE void copy16(u32 to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from));
}

// Sums [16 rows, 8 tokens] += weights [16, 32] * tokens [8, 32].
DEVICE void multiply(u32 (&sums)[4], const u32* weights, u32 first, u32 last) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
      : "r"(weights[0]), "r"(weights[1]), "r"(weights[2]), "r"(weights[3]), "r"(first), "r"(last));
}

// A stage's place in the ring of stages.
DEVICE int wrapped(int stage) { return stage < STAGES ? stage : stage - STAGES; }

DEVICE u32 pair_of(float first, float last) {
  u32 pair;
  asm("cvt.rn." PAIR ".f32 %0, %1, %2;" : "=r"(pair) : "f"(last), "f"(first));
  return pair;
}

// packed [rows, units * 128], the first number of a byte in its upper half; scales [rows, units * 4];
// tokens [TOKENS, units * 256], the numbers of each pair in the order of a byte, lower half first;
// token_scales [units, TOKENS]; out [count, rows]. One block has ROWS rows and all tokens. Told that 8 warps share a
// multiprocessor, the compiler takes the registers that it needs to load ahead, up to 255: 1.1 to 1.4 times as fast.
extern "C" __global__ void __launch_bounds__(THREADS, 256 / THREADS)
nf4_matmul(const u8* packed, const float* scales, const u8* tokens, const float* token_scales, u32 negative0,
           u32 negative1, u32 positive0, u32 positive1, unsigned short* out, int count, int rows, int units) {
  extern __shared__ __align__(128) u8 memory[];
  const u32 shared = (u32)__cvta_generic_to_shared(memory);
  const Magnitudes magnitudes = {{negative0, negative1}, {positive0, positive1}};
  const int thread = threadIdx.x, lane = thread & 31, warp = thread >> 5;
  const int row_warp = warp % ROW_WARPS, split = warp / ROW_WARPS;
  const int octet = lane >> 2, quarter = lane & 3;  // as mma numbers rows and tokens, and the width
  const int first_row = blockIdx.x * ROWS;

  // Pieces of 16 bytes are shuffled within a row, so that a warp reads from all banks at once.
  const u8* weights_from = packed + (size_t)(first_row + thread / 8) * units * 128 + thread % 8 * 16;
  const u32 weights_to = shared + thread / 8 * 128 + (thread % 8 ^ thread / 8 % 4 * 2) * 16;
  const float* scales_from = scales + (size_t)(first_row + thread) * units * 4;
  const u8* inputs_from = tokens + (size_t)(thread / 16) * units * UNIT + thread % 16 * 16;
  const u32 inputs_to = shared + WEIGHTS + SCALES + thread / 16 * UNIT + (thread % 16 ^ thread / 16 % 2 * 4) * 16;
  const float* input_scales_from = token_scales + thread * 4;

  auto load = [&](int unit, int stage) {
    if (unit < units) {
      const u32 offset = stage * STAGE;
#pragma unroll
      for (int i = 0; i * THREADS < ROWS * 8; i++) {
        const u8* from = weights_from + (size_t)i * (THREADS / 8) * units * 128 + unit * 128;
        if ((i + 1) * THREADS <= ROWS * 8 || i * THREADS + thread < ROWS * 8)
          copy16(weights_to + offset + i * THREADS * 16, from);
      }
      if (thread < ROWS) copy16(shared + offset + WEIGHTS + thread * 16, scales_from + unit * 4);
#pragma unroll
      for (int i = 0; i * THREADS < TOKENS * 16; i++) {
        const u8* from = inputs_from + (size_t)i * (THREADS / 16) * units * UNIT + unit * UNIT;
        if ((i + 1) * THREADS <= TOKENS * 16 || i * THREADS + thread < TOKENS * 16)
          copy16(inputs_to + offset + i * THREADS * 16, from);
      }
      if (thread < TOKENS / 4)
        copy16(shared + offset + WEIGHTS + SCALES + INPUTS + thread * 16, input_scales_from + (size_t)unit * TOKENS);
    }
    asm volatile("cp.async.commit_group;");
  };

  float totals[TILES][4] = {};
#pragma unroll
  for (int i = 0; i < STAGES - SPLITS; i++) load(i, i);
  for (int unit = 0, stage = 0; unit < units; unit += SPLITS) {
    asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2 * SPLITS));
    __syncthreads();
#pragma unroll
    for (int i = 0; i < SPLITS; i++) load(unit + STAGES - SPLITS + i, wrapped(stage + STAGES - SPLITS + i));
    if (unit + split < units) {
      const u8* at = memory + wrapped(stage + split) * STAGE;
      u32 weights[4][8];      // of each group: two operands of mma
      float row_scales[2][4]; // of rows octet and octet + 8, and each group
      float start[2];         // what the sums of all groups start at, scaled, less than nothing
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int row = row_warp * 16 + half * 8 + octet;
        const float4 four = *(const float4*)(at + WEIGHTS + row * 16);
        row_scales[half][0] = four.x, row_scales[half][1] = four.y;
        row_scales[half][2] = four.z, row_scales[half][3] = four.w;
        start[half] = -START_VALUE * ((four.x + four.y) + (four.z + four.w));
#pragma unroll
        for (int group = 0; group < 4; group++) {
          const int piece = (group * 2 + quarter / 2) ^ octet % 4 * 2;
          const uint2 numbers = *(const uint2*)(at + row * 128 + piece * 16 + quarter % 2 * 8);
          weights[group][half] = unpacked(numbers.x, magnitudes);
          weights[group][2 + half] = unpacked(numbers.x >> 16, magnitudes);
          weights[group][4 + half] = unpacked(numbers.y, magnitudes);
          weights[group][6 + half] = unpacked(numbers.y >> 16, magnitudes);
        }
      }
#pragma unroll
      for (int tile = 0; tile < TILES; tile++) {
        const u8* token_at = at + WEIGHTS + SCALES + (tile * 8 + octet) * UNIT;
        float sums[4] = {start[0], start[0], start[1], start[1]};
#pragma unroll
        for (int group = 0; group < 4; group++) {
          const uint4 inputs = *(const uint4*)(token_at + ((group * 4 + quarter) ^ octet % 2 * 4) * 16);
          u32 whole[4] = {START, START, START, START};
          multiply(whole, weights[group], inputs.x, inputs.y);
          multiply(whole, weights[group] + 4, inputs.z, inputs.w);
#pragma unroll
          for (int i = 0; i < 4; i++) sums[i] = __fmaf_rn(__int_as_float(whole[i]), row_scales[i / 2][group], sums[i]);
        }
        const float2 two = *(const float2*)(at + WEIGHTS + SCALES + INPUTS + (tile * 8 + quarter * 2) * 4);
#pragma unroll
        for (int i = 0; i < 4; i++) totals[tile][i] = __fmaf_rn(sums[i], i % 2 ? two.y : two.x, totals[tile][i]);
      }
    }
    stage = wrapped(stage + SPLITS);
  }
  asm volatile("cp.async.wait_group 0;");
  __syncthreads();

  // The totals of the splits are added through shared memory, [SPLITS, TOKENS, WIDE], always in the same order.
  constexpr int WIDE = ROWS + 4;
  float* table = (float*)memory;
#pragma unroll
  for (int tile = 0; tile < TILES; tile++) {
    float* at = table + (split * TOKENS + tile * 8 + quarter * 2) * WIDE + row_warp * 16 + octet;
    at[0] = totals[tile][0], at[WIDE] = totals[tile][1];
    at[8] = totals[tile][2], at[WIDE + 8] = totals[tile][3];
  }
  __syncthreads();
  for (int i = thread; i < count * (ROWS / 4); i += THREADS) {
    const int token = i / (ROWS / 4), row = i % (ROWS / 4) * 4;
    float4 sum = *(const float4*)(table + token * WIDE + row);
#pragma unroll
    for (int other = 1; other < SPLITS; other++) {
      const float4 more = *(const float4*)(table + (other * TOKENS + token) * WIDE + row);
      sum.x += more.x, sum.y += more.y, sum.z += more.z, sum.w += more.w;
    }
    const uint2 four = {pair_of(sum.x * LEVEL, sum.y * LEVEL), pair_of(sum.z * LEVEL, sum.w * LEVEL)};
    *(uint2*)(out + (size_t)token * rows + first_row + row) = four;
  }
}

#endif
