// Floor: forward 8 bytes a pixel read and, where a gradient will be wanted, 4 written; backward
// 4 read and 4 written (float32), and about 65 operations a pixel, see cpu/focal_loss.h. On an
// H200, 64 maps of 1024 x 1024: forward without a gradient 0.221 ms, 58 % of what a copy moves
// (measured when it took 1.7 times as many instructions, not since); backward 0.137 ms, 93 %.
//
// Each thread takes four neighbouring pixels by accesses of 16 bytes (8 where they are 16-bit
// numbers). A block adds up its losses in float64 and writes their sum; one block more adds those.
#include "cuda/focal_loss.h"

#include <type_traits>

#include "cuda/quad.h"

namespace fastcount::cuda {
namespace {

// What is the same for every pixel.
template <typename C>
struct FocalPlan {
  FocalClamp<C> clamp;
  FocalPower power;
  Exponent beta;
  C gamma;
};

// The exponents that the losses have unless asked otherwise, for kernels whose compiler knows them:
// gamma - 1, where gamma is 4 for masks and else 2, and beta.
template <FocalForm kForm>
constexpr Exponent kUsualLowered =
    kForm == FocalForm::kMask ? Exponent{3.0, 3, false} : Exponent{1.0, 1, false};
template <FocalForm kForm>
constexpr Exponent kUsualBeta =
    kForm == FocalForm::kMask ? Exponent{0.5, 0, true} : Exponent{4.0, 4, false};

template <FocalForm kForm>
bool is_usual(const FocalPower& power, const Exponent& beta) {
  return !power.divide && power.exponent.value == kUsualLowered<kForm>.value &&
         (kForm == FocalForm::kBinary || beta.value == kUsualBeta<kForm>.value);
}

// x^y of a quad: what does not depend on the pixel is decided once for all four, or by the compiler
// where it knows y.
template <typename C>
__device__ __forceinline__ void power_of(const Quad<C>& x, Exponent y, Quad<C>& raised) {
  if (y.factors < 0) {
    for (int k = 0; k < kQuad; ++k) {
      raised.at[k] = power_by_logarithm(x.at[k], static_cast<C>(y.value));
    }
    return;
  }
  for (int k = 0; k < kQuad; ++k) raised.at[k] = y.root ? root_of(x.at[k]) : C(1);
#pragma unroll 4
  for (int i = 0; i < y.factors; ++i) {
    for (int k = 0; k < kQuad; ++k) raised.at[k] *= x.at[k];
  }
}

// kUsual: with the usual exponents, whatever the plan's. kSlopes: `slopes` may be asked for.
template <bool kLogits, FocalForm kForm, FocalPoly kPoly, bool kUsual, bool kSlopes, typename T>
__global__ void __launch_bounds__(kMapThreads)
    focal_kernel(const T* pred, const compute_t<T>* target, const bool* mask, std::int64_t count,
                 FocalPlan<compute_t<T>> plan, compute_t<T>* slopes, compute_t<T>* values,
                 SumPair* sums) {
  using C = compute_t<T>;
  double sum = 0.0;
  float centres = 0.0f;  // a thread sees fewer than 2^24 pixels
  for (std::int64_t i = first_quad(); i < count; i += quad_step()) {
    Quad<T> p{};
    Quad<C> t{};
    Quad<bool> m{};
    load_quad(pred, i, count, p);
    load_quad(target, i, count, t);
    if (mask != nullptr) load_quad(mask, i, count, m);
    Quad<C> d;
    Quad<C> c;
    Quad<C> base;
    Quad<C> slope;
    for (int k = 0; k < kQuad; ++k) {
      const bool inside = mask != nullptr ? m.at[k] : t.at[k] > C(0);
      const FocalTarget<C> at = focal_target(kForm, t.at[k], inside);
      const FocalError<C> error =
          focal_error<kLogits>(static_cast<C>(to_compute(p.at[k])), at.goal, plan.clamp);
      d.at[k] = error.d;
      c.at[k] = error.c;
      base.at[k] = at.base;
      slope.at[k] = error.slope;
    }
    Quad<C> lowered;
    Quad<C> weight;
    if constexpr (kUsual) {
      power_of(d, kUsualLowered<kForm>, lowered);
      power_of(base, kUsualBeta<kForm>, weight);
    } else {
      power_of(d, plan.power.exponent, lowered);
      power_of(base, plan.beta, weight);
      if (plan.power.divide) {
        for (int k = 0; k < kQuad; ++k) lowered.at[k] = focal_divided(lowered.at[k], d.at[k]);
      }
    }
    Quad<C> value;
    for (int k = 0; k < kQuad; ++k) {
      const FocalLoss<C> loss =
          focal_pixel(kPoly, d.at[k], c.at[k], weight.at[k], lowered.at[k], plan.gamma);
      value.at[k] = loss.value;
      slope.at[k] *= loss.slope;
    }
    if (kSlopes && slopes != nullptr) store_quad(slopes, i, count, slope);
    if (values != nullptr) store_quad(values, i, count, value);
    if (i + kQuad > count) {  // what lies beyond the end does not count
      for (int k = 0; k < kQuad; ++k) {
        if (i + k >= count) value.at[k] = t.at[k] = C(0);
      }
    }
    C four(0);
    for (int k = 0; k < kQuad; ++k) {
      four += value.at[k];
      centres += t.at[k] == C(1) ? 1.0f : 0.0f;
    }
    sum += static_cast<double>(four);
  }
  const SumPair total = block_sum<kMapThreads>({sum, static_cast<double>(centres)});
  if (threadIdx.x == 0) sums[blockIdx.x] = total;
}

// Calls `work` with the flag as a constant.
template <typename Work>
cudaError_t visit_flag(bool flag, const Work& work) {
  return flag ? work(std::true_type{}) : work(std::false_type{});
}

// Calls `work` with the form and the poly form as constants.
template <typename Work>
cudaError_t visit_forms(const FocalOptions& options, const Work& work) {
  const auto with_poly = [&](auto form) -> cudaError_t {
    switch (options.poly) {
      case FocalPoly::kNone:
        return work(form, std::integral_constant<FocalPoly, FocalPoly::kNone>{});
      case FocalPoly::kPrinted:
        return work(form, std::integral_constant<FocalPoly, FocalPoly::kPrinted>{});
      case FocalPoly::kWeighted:
        return work(form, std::integral_constant<FocalPoly, FocalPoly::kWeighted>{});
    }
    return cudaErrorInvalidValue;
  };
  switch (options.form) {
    case FocalForm::kBinary:
      return with_poly(std::integral_constant<FocalForm, FocalForm::kBinary>{});
    case FocalForm::kHeatmap:
      return with_poly(std::integral_constant<FocalForm, FocalForm::kHeatmap>{});
    case FocalForm::kMask:
      return with_poly(std::integral_constant<FocalForm, FocalForm::kMask>{});
  }
  return cudaErrorInvalidValue;
}

// One block: the sums of the blocks, alpha / N, and the loss where it is one number.
template <typename C>
__global__ void __launch_bounds__(kMapThreads)
    total_kernel(const SumPair* sums, int blocks, double alpha, double normalizer, C* weight,
                 C* loss) {
  SumPair sum{0.0, 0.0};
  for (int i = static_cast<int>(threadIdx.x); i < blocks; i += kMapThreads) {
    sum.first += sums[i].first;
    sum.second += sums[i].second;
  }
  sum = block_sum<kMapThreads>(sum);
  if (threadIdx.x != 0) return;
  const double divisor = normalizer > 0.0 ? normalizer : (sum.second > 1.0 ? sum.second : 1.0);
  *weight = static_cast<C>(alpha / divisor);
  if (loss != nullptr) *loss = static_cast<C>(alpha / divisor * sum.first);
}

// In place where `out` is `slopes`; grads may be null: all 1.
template <typename T>
__global__ void __launch_bounds__(kMapThreads)
    scale_kernel(const compute_t<T>* slopes, const compute_t<T>* grads, bool single,
                 const compute_t<T>* weight, std::int64_t count, T* out) {
  using C = compute_t<T>;
  const C factor = single && grads != nullptr ? *weight * grads[0] : *weight;
  for (std::int64_t i = first_quad(); i < count; i += quad_step()) {
    Quad<C> slope{};
    Quad<C> grad{};
    Quad<T> result{};
    load_quad(slopes, i, count, slope);
    if (!single) load_quad(grads, i, count, grad);
    for (int k = 0; k < kQuad; ++k) {
      result.at[k] = from_compute<T>(slope.at[k] * (single ? factor : factor * grad.at[k]));
    }
    store_quad(out, i, count, result);
  }
}

template <typename T>
cudaError_t run(const FocalMaps& maps, const FocalOptions& options, double alpha, double normalizer,
                const FocalResults& results, SumPair* scratch, cudaStream_t stream) {
  using C = compute_t<T>;
  const FocalPlan<C> plan{make_focal_clamp<C>(options), make_focal_power(options.gamma),
                          make_exponent(options.beta), static_cast<C>(options.gamma)};
  const unsigned blocks = map_blocks(maps.count);
  const T* pred = static_cast<const T*>(maps.pred);
  const C* target = static_cast<const C*>(maps.target);
  C* slope = static_cast<C*>(results.slope);
  C* loss = static_cast<C*>(results.loss);
  C* weight = static_cast<C*>(results.weight);
  C* values = results.values ? loss : nullptr;
  cudaError_t error = visit_forms(options, [&](auto form, auto poly) -> cudaError_t {
    constexpr FocalForm kForm = decltype(form)::value;
    constexpr FocalPoly kPoly = decltype(poly)::value;
    const auto launch = [&](auto logits, auto usual, auto slopes) -> cudaError_t {
      constexpr bool kLogits = decltype(logits)::value;
      constexpr bool kUsual = decltype(usual)::value;
      constexpr bool kSlopes = decltype(slopes)::value;
      return LAUNCH((focal_kernel<kLogits, kForm, kPoly, kUsual, kSlopes, T>), blocks, kMapThreads,
                    0, stream, pred, target, maps.mask, maps.count, plan, slope, values, scratch);
    };
    const bool usual = is_usual<kForm>(plan.power, plan.beta);
    return visit_flag(options.logits, [&](auto logits) {
      // What is mostly wanted has kernels of its own: all of them would take minutes to compile.
      if constexpr (kPoly == FocalPoly::kNone && sizeof(C) == 4) {
        if (usual) {
          return visit_flag(slope != nullptr,
                            [&](auto slopes) { return launch(logits, std::true_type{}, slopes); });
        }
      }
      return launch(logits, std::false_type{}, std::true_type{});
    });
  });
  if (error != cudaSuccess) return error;
  C* total = results.values ? nullptr : loss;
  error = LAUNCH((total_kernel<C>), 1, kMapThreads, 0, stream, scratch, static_cast<int>(blocks),
                 alpha, normalizer, weight, total);
  if (error != cudaSuccess || !results.values) return error;
  const C* none = nullptr;
  return LAUNCH((scale_kernel<C>), blocks, kMapThreads, 0, stream, loss, none, true, weight,
                maps.count, loss);
}

}  // namespace

std::int64_t focal_loss_scratch(std::int64_t count) { return map_blocks(count); }

cudaError_t focal_loss(const FocalMaps& maps, const FocalOptions& options, double alpha,
                       double normalizer, const FocalResults& results, SumPair* scratch,
                       cudaStream_t stream) {
  return visit_number(maps.number, [&](auto zero) {
    return run<decltype(zero)>(maps, options, alpha, normalizer, results, scratch, stream);
  });
}

cudaError_t focal_loss_backward(const void* grads, bool single, const void* slope,
                                const void* weight, std::int64_t count, Number number, void* out,
                                cudaStream_t stream) {
  return visit_number(number, [&](auto zero) {
    using T = decltype(zero);
    using C = compute_t<T>;
    return LAUNCH((scale_kernel<T>), map_blocks(count), kMapThreads, 0, stream,
                  static_cast<const C*>(slope), static_cast<const C*>(grads), single,
                  static_cast<const C*>(weight), count, static_cast<T*>(out));
  });
}

}  // namespace fastcount::cuda
