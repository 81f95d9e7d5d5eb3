from .atlas.atlas import Atlas as Atlas, record_of as record_of
from .atlas.make import Wanted as Wanted, make_atlas as make_atlas
from .atlas.page import page as page
from .atlas.people import AtlasError as AtlasError
from .blueprint import draw_blueprint as draw_blueprint
from .explanation import saliency_of as saliency_of
from .layers import Description as Description, Layer as Layer
from .opening import gradients_of as gradients_of, open_backbone as open_backbone, open_bundle as open_bundle
from .pair_sheet import draw_pair_sheet as draw_pair_sheet
from .regions import in_words as in_words
from .sheet import kernels_sheet as kernels_sheet, maps_sheet as maps_sheet, stacked as stacked
