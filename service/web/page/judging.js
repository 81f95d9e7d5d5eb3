// What of an answer is compared with what: normalised distances where the card has own thresholds, else plain ones.
export const pointsOf = (card) => card.own_threshold?.operating_points ?? card.operating_points;

export function judged(answer, card) {
  const isOwn = answer.normalized_distance !== null && Boolean(card.own_threshold);
  return {
    isOwn,
    value: isOwn ? answer.normalized_distance : answer.distance,
    limit: isOwn ? answer.operating_point.threshold : answer.threshold,
  };
}
