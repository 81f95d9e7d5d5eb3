from .atlas.atlas import Atlas as Atlas, atlas_record as atlas_record
from .atlas.faces import AtlasError as AtlasError, AtlasFaces as AtlasFaces, failed_csv as failed_csv
from .atlas.make import AtlasRequest as AtlasRequest, atlas_page as atlas_page, make_atlas as make_atlas
from .blueprint import draw_blueprint as draw_blueprint
from .explainer import (
    Explainer as Explainer,
    gradient_method as gradient_method,
    inspect_backbone as inspect_backbone,
    inspect_bundle as inspect_bundle,
)
from .explanation import (
    ChannelShare as ChannelShare,
    ExplainedFace as ExplainedFace,
    Explanation as Explanation,
    ProbeReference as ProbeReference,
    RegionShare as RegionShare,
    Saliency as Saliency,
    atlas_json_of as atlas_json_of,
    pair_saliency as pair_saliency,
    region_name as region_name,
)
from .layers import Layer as Layer, NetworkDescription as NetworkDescription
from .maps import (
    Drawing as Drawing,
    FeatureMaps as FeatureMaps,
    Response as Response,
    draw_maps as draw_maps,
    kernels_sheet as kernels_sheet,
    maps_sheet as maps_sheet,
    stacked as stacked,
)
from .pair_sheet import draw_pair_sheet as draw_pair_sheet
