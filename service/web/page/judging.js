// What of an answer is compared with what: with the point's threshold the normalised distance, which includes the
// penalty for poor photos, where the card has one; else the plain distance with the answer's threshold.
export function judged(answer) {
  const isNormalised = answer.normalized_distance !== null && answer.operating_point !== null;
  return {
    isNormalised,
    value: isNormalised ? answer.normalized_distance : answer.distance,
    limit: isNormalised ? answer.operating_point.threshold : answer.threshold,
  };
}
