"""PROBLEM: used laptops, and what they cost. Nothing else in the project lists brands or sizes.

The worked example: `adopt` puts a table of yours in its place.
"""

from .kit.problem import Problem, RowRule, among, category, flag, integer, number

_BRANDS = ("acer", "APPLE", "ASUS", "Avita", "DELL", "HP", "Lenovo", "MSI")
_INTEL = ("Celeron Dual", "Pentium Quad", "Core i3", "Core i5", "Core i7", "Core i9")
_AMD = ("Ryzen 3", "Ryzen 5", "Ryzen 7", "Ryzen 9")
_GENERATIONS = ("4th", "7th", "8th", "9th", "10th", "11th", "12th", "Not Available")
_RAM_TYPES = ("DDR3", "DDR4", "DDR5", "LPDDR3", "LPDDR4", "LPDDR4X")
_MANY = 10_000_000

# fmt: off
FEATURES = (
    category("brand", "Brand", _BRANDS),
    category("processor_brand", "Processor maker", ("AMD", "Intel", "M1")),
    category("processor_name", "Processor", (*_INTEL, *_AMD, "M1"),
             ladders=(_INTEL, _AMD, ("M1",))),
    category("processor_gnrtn", "Processor generation", _GENERATIONS,
             default="Not Available"),
    integer("ram_gb", "Memory (RAM)", "GB", 1, 128, levels=(4, 8, 16, 32)),
    category("ram_type", "Memory type", _RAM_TYPES),
    integer("ssd", "SSD, 0 for none", "GB", 0, 8192,
            levels=(0, 128, 256, 512, 1024, 2048)),
    integer("hdd", "Hard disk, 0 for none", "GB", 0, 8192, levels=(0, 512, 1024, 2048)),
    category("os", "Operating system", ("DOS", "Mac", "Windows")),
    category("os_bit", "32 or 64 bits", ("32-bit", "64-bit")),
    integer("graphic_card_gb", "Graphics memory, 0 for none of its own", "GB", 0, 24,
            levels=(0, 2, 4, 6, 8)),
    category("weight", "Category", ("Casual", "Gaming", "ThinNlight")),
    integer("warranty", "Warranty, 0 for none", "year", 0, 5, words=(("No warranty", 0),),
            levels=(0, 1, 2, 3)),
    flag("touchscreen", "Touchscreen", raw_name="Touchscreen"),
    flag("msoffice", "Microsoft Office", default=False),
)

PROBLEM = Problem(
    name="laptop-pricing",
    item="laptop",
    items="laptops",
    raw_file="laptop-price-brl.csv",
    caveat="The prices look like converted list prices of new laptops (INR x 0.067), not like "
    "second-hand purchases.",
    bought=True,
    features=FEATURES,
    target=number("price", "Price", "BRL", 500, 60_000, raw_name="Price"),
    late=(
        integer("rating", "Mean rating by buyers, not known before the sale", "star", 1, 5),
        integer("ratings", "Buyers who rated, not known before the sale", "", 0, _MANY,
                raw_name="Number of Ratings"),
        integer("reviews", "Buyers who wrote, not known before the sale", "", 0, _MANY,
                raw_name="Number of Reviews"),
    ),
    rules=(
        RowRule("the laptop has an SSD or an HDD", lambda t: (t.ssd > 0) | (t.hdd > 0)),
        RowRule("an APPLE runs Mac", lambda t: (t.brand != "APPLE") | (t.os == "Mac")),
    ),
    warnings=(
        RowRule("Ryzen 7 or 9 with 4 GB of RAM or less",
                lambda t: among(t.processor_name, ("Ryzen 7", "Ryzen 9")) & (t.ram_gb <= 4)),
        RowRule("M1 with DDR memory or an Intel generation",
                lambda t: (t.processor_name == "M1")
                & (among(t.ram_type, _RAM_TYPES[:3]) | (t.processor_gnrtn != "Not Available"))),
        RowRule("32-bit system with more than 4 GB of RAM",
                lambda t: (t.os_bit == "32-bit") & (t.ram_gb > 4)),
        RowRule("processor of another maker than it says",
                lambda t: ((t.processor_brand == "Intel") != among(t.processor_name, _INTEL))
                | ((t.processor_brand == "AMD") != among(t.processor_name, _AMD))),
    ),
    late_warnings=(
        RowRule("stars without a rating", lambda t: (t.ratings == 0) & (t.rating > 0)),
    ),
    example={
        "brand": "dell", "processor_brand": "intel", "processor_name": "core i5", "ram_gb": "8",
        "ram_type": "ddr4", "ssd": "512", "hdd": "0", "os": "windows", "os_bit": "64-bit",
        "graphic_card_gb": "0", "weight": "casual", "warranty": "1", "touchscreen": "no",
    },
    slice_by="brand",
    bands=(0, 2_500, 4_000, 6_000, 10_000, 15_000),
    words={  # the form in Portuguese, by column or by text
        "laptop": "laptop", "laptops": "laptops", "price": "preço", "BRL": "R$", "year": "ano",
        "years": "anos", "brand": "Marca", "processor_brand": "Fabricante do processador",
        "processor_name": "Processador", "processor_gnrtn": "Geração do processador",
        "ram_gb": "Memória RAM", "ram_type": "Tipo da memória RAM", "ssd": "SSD, 0 se não há",
        "hdd": "HD, 0 se não há", "os": "Sistema operacional",
        "os_bit": "Sistema de 32 ou 64 bits",
        "graphic_card_gb": "Memória de vídeo, 0 se não tem própria", "weight": "Categoria",
        "warranty": "Garantia, 0 se não há", "No warranty": "sem garantia",
        "touchscreen": "Tela sensível ao toque", "msoffice": "Microsoft Office",
        "Not Available": "não consta", "Casual": "Comum",
        "Gaming": "Para jogos", "ThinNlight": "Fino e leve",
        "the laptop has an SSD or an HDD": "o laptop tenha SSD ou HD",
        "an APPLE runs Mac": "um APPLE use Mac",
        "Ryzen 7 or 9 with 4 GB of RAM or less": "Ryzen 7 ou 9 com 4 GB de RAM ou menos",
        "M1 with DDR memory or an Intel generation": "M1 com memória DDR ou geração da Intel",
        "32-bit system with more than 4 GB of RAM": "Sistema de 32 bits com mais de 4 GB de RAM",
        "processor of another maker than it says": "Processador de outro fabricante",
        "The prices look like converted list prices of new laptops (INR x 0.067), not like "
        "second-hand purchases.": "Os preços parecem preços de tabela de laptops novos, "
        "convertidos (INR x 0.067), e não de compras de usados.",
    },
)
# fmt: on
