// Host tensors as Eigen matrices, for references in double.
#pragma once

#include <Eigen/Core>

#include "tests/ops/op_case.h"

namespace motley::test {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

inline Eigen::Map<const RowMajor> matrix(const HostTensor& tensor) {
  return {tensor.values.data(), static_cast<Eigen::Index>(tensor.shape[0]),
          static_cast<Eigen::Index>(tensor.shape[1])};
}

inline Eigen::Map<RowMajor> matrix(HostTensor& tensor) {
  return {tensor.values.data(), static_cast<Eigen::Index>(tensor.shape[0]),
          static_cast<Eigen::Index>(tensor.shape[1])};
}

inline Eigen::Map<const Eigen::RowVectorXd> row_vector(const HostTensor& tensor) {
  return {tensor.values.data(), static_cast<Eigen::Index>(tensor.shape.size())};
}

inline Eigen::Map<Eigen::RowVectorXd> row_vector(HostTensor& tensor) {
  return {tensor.values.data(), static_cast<Eigen::Index>(tensor.shape.size())};
}

}  // namespace motley::test
