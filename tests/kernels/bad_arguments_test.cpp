// What the ops of norm.cpp, pack.cpp, pointwise.cpp, random.cpp and reduce.cpp refuse: before
// anything is enqueued, with the op's name, both shapes, and nothing written.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "kernels/ops.h"
#include "tensor/device.h"

namespace motley {
namespace {

class BadArguments : public testing::Test {
 protected:
  BadArguments() : device_(list_devices().at(0), DeviceSettings{}) {}

  static void expect_refused(const std::string& text, const std::function<void()>& call) {
    try {
      call();
      ADD_FAILURE() << "accepted; it should be refused with '" << text << "'";
    } catch (const ShapeError& e) {
      EXPECT_NE(std::string(e.what()).find(text), std::string::npos) << e.what();
    }
  }

  Stream& s() { return device_.stream(); }

  Device device_;
};

TEST_F(BadArguments, NormsNameTheTensorThatDoesNotFit) {
  Tensor y = device_.tensor({3, 8});
  Tensor rstd = device_.tensor({3});
  Tensor x = device_.tensor({3, 8});
  Tensor dy = device_.tensor({3, 8});
  Tensor w = device_.tensor({7});
  op::LayerNormSaved saved{rstd, rstd};
  expect_refused("rms_norm: w is f32 [7], it must be f32 [8]",
                 [&] { op::rms_norm(s(), y, rstd, x, w, 1e-5f); });
  expect_refused("layer_norm: w is f32 [7]",
                 [&] { op::layer_norm(s(), y, saved, x, w, w, 1e-5f); });
  expect_refused("rms_norm_backward: dw is f32 [7]",
                 [&] { op::rms_norm_backward(s(), y, w, dy, x, w, rstd, op::Into::replace); });
  expect_refused("layer_norm_backward: dw is f32 [7]", [&] {
    op::layer_norm_backward(s(), y, {w, w}, dy, {x, w, w}, saved, op::Into::replace);
  });
}

TEST_F(BadArguments, CastTakesRealsOfOneShape) {
  Tensor reals = device_.tensor({4});
  Tensor other = device_.tensor({2, 2}, Dtype::f16);
  Tensor integers = device_.tensor({4}, Dtype::i32);
  expect_refused("cast: from f32 to i32", [&] { op::cast(s(), integers, reals); });
  expect_refused("cast: y is f16 [2, 2], it must be f16 [4]", [&] { op::cast(s(), other, reals); });
  expect_refused("add: x is i32 [4]", [&] { op::add(s(), reals, integers); });
  expect_refused("random_uniform: y is i32 [4]",
                 [&] { op::random_uniform(s(), integers, Random(1, Purpose::test)); });
}

TEST_F(BadArguments, ReductionsCheckTheirOutput) {
  Tensor x = device_.tensor({10});
  Tensor one = device_.tensor({1});
  Tensor two = device_.tensor({2});
  Tensor control = device_.tensor({op::control_size});
  Tensor partials = device_.tensor({1, 2});
  expect_refused("sum: out is f32 [2]", [&] { op::sum(s(), two, x, op::Into::replace); });
  expect_refused("chunk_squares: counts is f32 [2]", [&] { op::chunk_squares(s(), one, two, x); });
  expect_refused("clip_factor: partials is [2]", [&] { op::clip_factor(s(), control, two, 1.0f); });
  expect_refused("clip_factor: control is f32 [2]",
                 [&] { op::clip_factor(s(), two, partials, 1.0f); });
}

TEST_F(BadArguments, PackTakesAddendsOfOneShapeAndAnIntegerCount) {
  Tensor y = device_.tensor({10});
  Tensor bad = device_.tensor({1}, Dtype::i32);
  Tensor real = device_.tensor({1});
  Tensor half = device_.tensor({10}, Dtype::f16);
  expect_refused("pack: bad is f32 [1], it must be i32 [1]", [&] { op::pack(s(), {y, real}, {}); });
  expect_refused("pack: rounded is f16 [10], it must be bf16 [10]", [&] {
    op::pack(s(), {y, bad, &half}, {});
  });
  expect_refused("pack: an addend is f32 [1], it must be f32 [10]", [&] {
    op::pack(s(), {y, bad}, std::vector<Tensor>{y, real});
  });
}

}  // namespace
}  // namespace motley
